variable "name" {
  description = "Name of the Redis."
  type        = string
}

variable "vpc" {
  description = "ID of the network."
  type        = string
}

variable "subnets" {
  description = "IDs of the subnets of its nodes, in three zones."
  type        = list(string)
}

variable "clients_group" {
  description = "ID of the security group of those that may ask."
  type        = string
}

variable "type" {
  description = "Type of the nodes."
  type        = string
}

variable "password" {
  description = "Password that clients give."
  type        = string
  sensitive   = true
}
