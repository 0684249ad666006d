variable "name" {
  description = "Begins the names of all that is made."
  type        = string
}

variable "address" {
  description = "Address of e-mail for alarms."
  type        = string
}

variable "database" {
  description = "Name of the database's machine."
  type        = string
}

variable "replica" {
  description = "Whether that follows another one."
  type        = bool
}

variable "cache_nodes" {
  description = "IDs of the three nodes of Redis."
  type        = list(string)
}

variable "replications" {
  description = "Replications of buckets to watch, by what they hold."
  type        = map(object({ source = string, destination = string, rule = string }))
}
