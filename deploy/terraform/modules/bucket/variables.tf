variable "name" {
  description = "Begins the names of both buckets, which end in their region."
  type        = string

  validation {
    condition     = length(var.name) <= 48
    error_message = "Want at most 48 characters, so that the name with the region fits into 63."
  }
}
