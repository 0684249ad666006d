output "host" {
  description = "Name of the node that is written to; it stays when another one takes over."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "nodes" {
  description = "IDs of the nodes, for alarms."
  value       = aws_elasticache_replication_group.this.member_clusters
}
