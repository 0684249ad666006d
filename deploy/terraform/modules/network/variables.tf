variable "name" {
  description = "Begins the names of all that is made."
  type        = string
}

variable "network" {
  description = "Address range, a /16: a sixteenth of it for each subnet."
  type        = string
}
