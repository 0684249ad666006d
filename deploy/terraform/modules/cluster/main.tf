# Kubernetes: the control plane, machines in three zones, and who may do what.
# What runs in it is deploy/kubernetes.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

data "aws_region" "here" {}

data "aws_partition" "here" {}

locals {
  policies = "arn:${data.aws_partition.here.partition}:iam::aws:policy"
  # Roles belong to the account, not to a region.
  name = "${var.name}-${data.aws_region.here.name}"
}

# The control plane.

data "aws_iam_policy_document" "assume" {
  for_each = {
    cluster = ["eks.amazonaws.com", "sts:AssumeRole"]
    nodes   = ["ec2.amazonaws.com", "sts:AssumeRole"]
  }
  statement {
    actions = [each.value[1]]
    principals {
      type        = "Service"
      identifiers = [each.value[0]]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${local.name}-cluster"
  assume_role_policy = data.aws_iam_policy_document.assume["cluster"].json
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.policies}/AmazonEKSClusterPolicy"
}

# Secrets of Kubernetes are encrypted with a key of ours.
resource "aws_kms_key" "secrets" {
  description             = "Kubernetes secrets of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_eks_cluster" "this" {
  name                      = var.name
  role_arn                  = aws_iam_role.cluster.arn
  version                   = var.kubernetes
  enabled_cluster_log_types = ["api", "audit", "authenticator"]
  depends_on                = [aws_iam_role_policy_attachment.cluster]

  vpc_config {
    subnet_ids              = var.subnets
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = var.api_networks
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.secrets.arn
    }
  }

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }
}

# Networks that enforce NetworkPolicy, names, identities of pods, and the
# figures that the autoscaler of the pods asks for.
resource "aws_eks_addon" "this" {
  for_each = {
    vpc-cni                = jsonencode({ enableNetworkPolicy = "true" })
    kube-proxy             = null
    eks-pod-identity-agent = null
    coredns                = null
    metrics-server         = null
  }
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value
  resolve_conflicts_on_update = "PRESERVE"
  # Those that are pods of a Deployment wait for machines; the machines do not
  # wait for the network, which is there with the control plane.
  depends_on = [aws_eks_node_group.this]
}

# The machines.

resource "aws_iam_role" "nodes" {
  name               = "${local.name}-nodes"
  assume_role_policy = data.aws_iam_policy_document.assume["nodes"].json
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each   = toset(["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"])
  role       = aws_iam_role.nodes.name
  policy_arn = "${local.policies}/${each.key}"
}

# Pods must not ask the machine for its identity: they have one of their own.
resource "aws_launch_template" "nodes" {
  name_prefix = "${var.name}-"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 30
      volume_type = "gp3"
      encrypted   = true
    }
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "api"
  node_role_arn   = aws_iam_role.nodes.arn
  subnet_ids      = var.subnets
  ami_type        = "AL2023_x86_64_STANDARD" # the vectors of the prediction are AVX's
  instance_types  = [var.nodes.type]
  depends_on      = [aws_iam_role_policy_attachment.nodes]

  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }

  scaling_config {
    min_size     = var.nodes.least
    max_size     = var.nodes.most
    desired_size = var.nodes.least
  }

  # One at a time, and never against the pods' disruption budget.
  update_config {
    max_unavailable = 1
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # the cluster autoscaler's
  }
}

# What the pods may do: read and write buckets, and nothing else.

data "aws_iam_policy_document" "assume_pods" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "pods" {
  statement {
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = concat(var.read_buckets, var.write_buckets)
  }
  statement {
    actions   = ["s3:GetObject"]
    resources = [for b in concat(var.read_buckets, var.write_buckets) : "${b}/*"]
  }
  statement {
    actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = [for b in var.write_buckets : "${b}/*"]
  }
}

resource "aws_iam_role" "pods" {
  name               = "${local.name}-pods"
  assume_role_policy = data.aws_iam_policy_document.assume_pods.json
}

resource "aws_iam_role_policy" "pods" {
  name   = "buckets"
  role   = aws_iam_role.pods.id
  policy = data.aws_iam_policy_document.pods.json
}

resource "aws_eks_pod_identity_association" "pods" {
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "housing"
  service_account = "housing-api"
  role_arn        = aws_iam_role.pods.arn
}
