# A way between the private subnets of two networks.

terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.first, aws.second]
    }
  }
}

resource "aws_vpc_peering_connection" "this" {
  provider    = aws.first
  vpc_id      = var.first.vpc
  peer_vpc_id = var.second.vpc
  peer_region = var.second_region
  tags        = { Name = var.name }
}

resource "aws_vpc_peering_connection_accepter" "this" {
  provider                  = aws.second
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
  auto_accept               = true
  tags                      = { Name = var.name }
}

resource "aws_route" "to_second" {
  provider                  = aws.first
  count                     = length(var.first.private_route_tables)
  route_table_id            = var.first.private_route_tables[count.index]
  destination_cidr_block    = var.second.range
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}

resource "aws_route" "to_first" {
  provider                  = aws.second
  count                     = length(var.second.private_route_tables)
  route_table_id            = var.second.private_route_tables[count.index]
  destination_cidr_block    = var.first.range
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}
