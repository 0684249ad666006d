output "name" {
  description = "Name of the cluster, for `aws eks update-kubeconfig`."
  value       = aws_eks_cluster.this.name
}

output "security_group" {
  description = "ID of the security group that its machines and pods have."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}
