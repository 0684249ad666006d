# What the overlay deploy/kubernetes/overlays/multi-region needs; README.md says
# what goes where.
output "regions" {
  description = "For each region: cluster, addresses for config.env and the secrets, certificate for the Service."
  value = {
    (var.regions.first) = {
      cluster               = module.first_cluster.name
      model_dir             = "s3://${module.bucket["models"].first.name}/production?region=${var.regions.first}"
      backup_dir            = "s3://${module.bucket["backups"].first.name}/production?region=${var.regions.first}"
      database_host         = module.first_database.host
      database_replica_host = module.first_database.host
      redis_host            = module.first_cache.host
      certificate           = module.failover.certificates.first
      trusted_proxies       = join(",", module.failover.proxies)
    }
    (var.regions.second) = {
      cluster               = module.second_cluster.name
      model_dir             = "s3://${module.bucket["models"].second.name}/production?region=${var.regions.second}"
      backup_dir            = "s3://${module.bucket["backups"].second.name}/production?region=${var.regions.second}"
      database_host         = module.first_database.host # all write to the first region's
      database_replica_host = module.second_database.host
      redis_host            = module.second_cache.host
      certificate           = module.failover.certificates.second
      trusted_proxies       = join(",", module.failover.proxies)
    }
  }
}

output "address" {
  description = "Where the API is, once load_balancers is set."
  value       = "https://${var.domain}"
}
