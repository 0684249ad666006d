variable "name" {
  description = "Begins the names of all that is made; with the account's number it makes those of buckets unique."
  type        = string
  default     = "housing"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "Want 3 to 20 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "regions" {
  description = "Where it runs. The first has the database that is written to and takes pushes of models; the second follows and takes over."
  type        = object({ first = string, second = string })
  default     = { first = "us-west-2", second = "us-east-1" }

  validation {
    condition     = var.regions.first != var.regions.second
    error_message = "The second region is there for the loss of the first: want two."
  }
}

variable "networks" {
  description = "Address ranges of the two networks, /16 each. They must not overlap, so that they can be connected."
  type        = object({ first = string, second = string })
  default     = { first = "10.10.0.0/16", second = "10.20.0.0/16" }

  validation {
    condition     = alltrue([for c in values(var.networks) : can(cidrhost(c, 0)) && endswith(c, "/16")]) && var.networks.first != var.networks.second
    error_message = "Want two different ranges such as 10.10.0.0/16."
  }
}

variable "kubernetes_version" {
  description = "Version of Kubernetes, 1.30 or later: the pods' preStop sleeps by the kubelet."
  type        = string
  default     = "1.33"

  validation {
    condition     = can(regex("^1\\.[0-9]+$", var.kubernetes_version)) && try(tonumber(split(".", var.kubernetes_version)[1]) >= 30, false)
    error_message = "Want 1.30 or later."
  }
}

variable "nodes" {
  description = "Machines of each region's cluster: as `housing plan` says, one for each replica, and up to how many the autoscaler may add."
  type        = object({ type = string, least = number, most = number })
  default     = { type = "c5.large", least = 3, most = 10 }

  validation {
    condition     = var.nodes.least >= 3 && var.nodes.most >= var.nodes.least
    error_message = "Want at least 3, one for each zone, and most not below least."
  }
}

variable "api_networks" {
  description = "Who may reach the API servers of the clusters: the networks of those who deploy."
  type        = list(string)

  validation {
    condition     = length(var.api_networks) > 0 && alltrue([for c in var.api_networks : can(cidrhost(c, 0)) && c != "0.0.0.0/0"])
    error_message = "Want ranges such as 203.0.113.0/24, and not the whole internet."
  }
}

variable "database" {
  description = "PostgreSQL: class of the machines, and GiB of storage with what it may grow to."
  type        = object({ class = string, storage = number, most_storage = number })
  default     = { class = "db.t4g.medium", storage = 50, most_storage = 500 }

  validation {
    condition     = var.database.storage >= 20 && var.database.most_storage > var.database.storage
    error_message = "Want 20 GiB or more, and room to grow."
  }
}

variable "database_password" {
  description = "Password of PostgreSQL's user housing. It goes neither into the state nor into a plan; raise database_password_version to change it."
  type        = string
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = length(var.database_password) >= 24 && can(regex("^[A-Za-z0-9_-]+$", var.database_password))
    error_message = "Want 24 or more letters, digits, _ and -, as it stands in an address: openssl rand -hex 24."
  }
}

variable "database_password_version" {
  description = "Raised by one to have a new database_password set."
  type        = number
  default     = 1

  validation {
    condition     = var.database_password_version >= 1 && floor(var.database_password_version) == var.database_password_version
    error_message = "Want a whole number from 1."
  }
}

variable "redis_type" {
  description = "Type of the Redis nodes; `housing plan` says how much memory they need."
  type        = string
  default     = "cache.t3.micro"

  validation {
    condition     = startswith(var.redis_type, "cache.")
    error_message = "Want a type such as cache.t3.micro."
  }
}

variable "redis_password" {
  description = "Password of Redis. It is in the state, which therefore must be encrypted."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.redis_password) >= 32 && length(var.redis_password) <= 128 && can(regex("^[A-Za-z0-9_-]+$", var.redis_password))
    error_message = "Want 32 to 128 letters, digits, _ and -: openssl rand -hex 24."
  }
}

variable "domain" {
  description = "Name of the API, such as api.example.com, in the zone zone_id."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.){2,}[a-z]{2,}$", var.domain))
    error_message = "Want a name such as api.example.com."
  }
}

variable "zone_id" {
  description = "The public zone of Route 53 that holds the domain."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "Want the ID of a zone, such as Z0123456789ABC."
  }
}

variable "load_balancers" {
  description = "The load balancer that Kubernetes made in each region, by first and second: its name and its zone. Empty until both clusters have been deployed to; then failover and CloudFront are made."
  type        = map(object({ name = string, zone_id = string }))
  default     = {}

  validation {
    condition     = length(var.load_balancers) == 0 || length(setsubtract(["first", "second"], keys(var.load_balancers))) == 0 && length(var.load_balancers) == 2
    error_message = "Want none, or one for first and one for second."
  }
}

variable "alarm_address" {
  description = "Address for e-mails of alarms; they begin when the subscription is confirmed."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+$", var.alarm_address))
    error_message = "Want an address of e-mail."
  }
}
