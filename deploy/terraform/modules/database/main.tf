# PostgreSQL: the database that is written to, on two machines in two zones, or
# a replica of one in another region.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

locals {
  primary = var.replica_of == null
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-postgres-"
  description = "PostgreSQL of ${var.name}"
  vpc_id      = var.vpc
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = toset(var.clients)
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = each.value
  from_port         = 5432
  to_port           = 5432
  ip_protocol       = "tcp"
  description       = "both regions"
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnets
}

# Each region has its own key: a replica elsewhere cannot use the source's.
resource "aws_kms_key" "this" {
  description             = "PostgreSQL of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres16"
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  identifier     = var.name
  instance_class = var.settings.class

  # Of a replica these are the source's.
  engine              = local.primary ? "postgres" : null
  engine_version      = local.primary ? "16" : null
  db_name             = local.primary ? "housing" : null
  username            = local.primary ? "housing" : null
  password_wo         = local.primary ? var.password : null
  password_wo_version = local.primary ? var.password_version : null
  allocated_storage   = local.primary ? var.settings.storage : null
  replicate_source_db = var.replica_of

  storage_type          = "gp3"
  max_allocated_storage = var.settings.most_storage
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.this.arn

  multi_az               = local.primary
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  parameter_group_name   = aws_db_parameter_group.this.name
  publicly_accessible    = false

  # To any second of the last two weeks; `housing backup` is beside it. A replica has
  # its own, so that it is a whole database on the day it is promoted.
  backup_retention_period      = 14
  backup_window                = "09:00-09:30"
  maintenance_window           = "sun:10:00-sun:10:30"
  copy_tags_to_snapshot        = true
  auto_minor_version_upgrade   = true
  performance_insights_enabled = true

  deletion_protection       = true
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"
}
