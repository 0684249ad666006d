variable "name" {
  description = "Name of the database's machines."
  type        = string
}

variable "vpc" {
  description = "ID of the network."
  type        = string
}

variable "subnets" {
  description = "IDs of the subnets, in two zones or more."
  type        = list(string)
}

variable "clients" {
  description = "Address ranges from which clients come."
  type        = list(string)
}

variable "settings" {
  description = "Class of the machines, and GiB of storage."
  type        = object({ class = string, storage = number, most_storage = number })
}

variable "password" {
  description = "Password of the user housing; none for a replica, which has the source's."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "password_version" {
  description = "Raised to have another password set."
  type        = number
  default     = null
}

variable "replica_of" {
  description = "ARN of the database of which this is a replica; none makes one that is written to."
  type        = string
  default     = null
}
