variable "name" {
  description = "Name of the connection."
  type        = string
}

variable "second_region" {
  description = "Region of the second network."
  type        = string
}

variable "first" {
  description = "The first network: its outputs."
  type        = object({ vpc = string, range = string, private_route_tables = list(string) })
}

variable "second" {
  description = "The second network: its outputs."
  type        = object({ vpc = string, range = string, private_route_tables = list(string) })
}
