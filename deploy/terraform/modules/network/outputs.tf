output "vpc" {
  description = "ID of the network."
  value       = aws_vpc.this.id
}

output "range" {
  description = "Its addresses."
  value       = aws_vpc.this.cidr_block
}

output "private_subnets" {
  description = "IDs of the private subnets, one in each zone."
  value       = aws_subnet.private[*].id
}

output "private_route_tables" {
  description = "IDs of their route tables."
  value       = aws_route_table.private[*].id
}
