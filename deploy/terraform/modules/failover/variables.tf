variable "name" {
  description = "Begins the names of all that is made."
  type        = string
}

variable "domain" {
  description = "Name of the API."
  type        = string
}

variable "zone_id" {
  description = "The public zone that holds the domain."
  type        = string
}

variable "load_balancers" {
  description = "The load balancers of first and second: name and zone. Empty while there are none: then certificates alone are made."
  type        = map(object({ name = string, zone_id = string }))
}
