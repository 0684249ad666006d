# Two regions that each could carry all: a network, a cluster, a Redis and a
# bucket in each; one PostgreSQL that is written to, and a replica of it in the
# second region. What runs in the clusters is deploy/kubernetes.

locals {
  tags  = { application = var.name }
  ready = length(var.load_balancers) > 0 # both clusters have been deployed to
}

data "aws_caller_identity" "current" {
  provider = aws.first
}

module "first_network" {
  source    = "./modules/network"
  providers = { aws = aws.first }
  name      = var.name
  network   = var.networks.first
}

module "second_network" {
  source    = "./modules/network"
  providers = { aws = aws.second }
  name      = var.name
  network   = var.networks.second
}

# Models and backups, each in a bucket of either region, of which the second's
# is a copy.
module "bucket" {
  source    = "./modules/bucket"
  for_each  = toset(["models", "backups"])
  providers = { aws.first = aws.first, aws.second = aws.second }
  name      = "${var.name}-${each.key}-${data.aws_caller_identity.current.account_id}"
}

module "first_cluster" {
  source       = "./modules/cluster"
  providers    = { aws = aws.first }
  name         = var.name
  kubernetes   = var.kubernetes_version
  subnets      = module.first_network.private_subnets
  nodes        = var.nodes
  api_networks = var.api_networks
  read_buckets = []
  # Pushes of models come here, and the guard moves the traffic plan.
  write_buckets = [for b in module.bucket : b.first.arn]
}

module "second_cluster" {
  source        = "./modules/cluster"
  providers     = { aws = aws.second }
  name          = var.name
  kubernetes    = var.kubernetes_version
  subnets       = module.second_network.private_subnets
  nodes         = var.nodes
  api_networks  = var.api_networks
  read_buckets  = [module.bucket["models"].second.arn] # a copy: what is written here does not go back
  write_buckets = [module.bucket["backups"].second.arn]
}

module "first_cache" {
  source        = "./modules/cache"
  providers     = { aws = aws.first }
  name          = var.name
  vpc           = module.first_network.vpc
  subnets       = module.first_network.private_subnets
  clients_group = module.first_cluster.security_group
  type          = var.redis_type
  password      = var.redis_password
}

module "second_cache" {
  source        = "./modules/cache"
  providers     = { aws = aws.second }
  name          = var.name
  vpc           = module.second_network.vpc
  subnets       = module.second_network.private_subnets
  clients_group = module.second_cluster.security_group
  type          = var.redis_type
  password      = var.redis_password
}

module "first_database" {
  source           = "./modules/database"
  providers        = { aws = aws.first }
  name             = var.name
  vpc              = module.first_network.vpc
  subnets          = module.first_network.private_subnets
  clients          = [var.networks.first, var.networks.second]
  settings         = var.database
  password         = var.database_password
  password_version = var.database_password_version
}

module "second_database" {
  source     = "./modules/database"
  providers  = { aws = aws.second }
  name       = "${var.name}-replica"
  vpc        = module.second_network.vpc
  subnets    = module.second_network.private_subnets
  clients    = [var.networks.first, var.networks.second]
  settings   = var.database
  replica_of = module.first_database.arn
}

# The replicas of the second region write predictions and outcomes to the first's
# database: the two networks are connected.
module "peering" {
  source        = "./modules/peering"
  providers     = { aws.first = aws.first, aws.second = aws.second }
  name          = var.name
  second_region = var.regions.second
  first         = module.first_network
  second        = module.second_network
}

module "failover" {
  source         = "./modules/failover"
  providers      = { aws.first = aws.first, aws.second = aws.second, aws.global = aws.global }
  name           = var.name
  domain         = var.domain
  zone_id        = var.zone_id
  load_balancers = var.load_balancers
}

module "first_alarms" {
  source       = "./modules/alarms"
  providers    = { aws = aws.first }
  name         = var.name
  address      = var.alarm_address
  database     = module.first_database.name
  replica      = false
  cache_nodes  = module.first_cache.nodes
  replications = { for n, b in module.bucket : n => b.replication }
}

module "second_alarms" {
  source       = "./modules/alarms"
  providers    = { aws = aws.second }
  name         = var.name
  address      = var.alarm_address
  database     = module.second_database.name
  replica      = true
  cache_nodes  = module.second_cache.nodes
  replications = {}
}

module "global_alarms" {
  source        = "./modules/health-alarms"
  count         = local.ready ? 1 : 0
  providers     = { aws = aws.global }
  name          = var.name
  address       = var.alarm_address
  health_checks = module.failover.health_checks
}
