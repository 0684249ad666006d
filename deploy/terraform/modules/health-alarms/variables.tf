variable "name" {
  description = "Begins the names of all that is made."
  type        = string
}

variable "address" {
  description = "Address of e-mail for alarms."
  type        = string
}

variable "health_checks" {
  description = "IDs of health checks of Route 53, by region."
  type        = map(string)
}
