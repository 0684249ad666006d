variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "kubernetes" {
  description = "Version of Kubernetes."
  type        = string
}

variable "subnets" {
  description = "IDs of private subnets, one in each zone."
  type        = list(string)
}

variable "nodes" {
  description = "Type of the machines, and how many."
  type        = object({ type = string, least = number, most = number })
}

variable "api_networks" {
  description = "Address ranges that may reach the API server."
  type        = list(string)
}

variable "read_buckets" {
  description = "ARNs of buckets that the pods read."
  type        = list(string)
}

variable "write_buckets" {
  description = "ARNs of buckets that the pods read and write."
  type        = list(string)
}
