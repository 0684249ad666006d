# How callers find a region that answers: Route 53 asks /health of both load
# balancers and names the first one's while it is healthy, else the second's.
# CloudFront is before that, with TLS near the caller and the files of the
# pages; it keeps no answer of the API.

terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.first, aws.second, aws.global]
    }
  }
}

locals {
  origin = "origin-${var.domain}" # the load balancers' name, for CloudFront
  ready  = length(var.load_balancers) > 0
  # A name with the same first record proves a certificate everywhere.
  proofs = { for o in aws_acm_certificate.global.domain_validation_options : o.domain_name => o }
}

# Certificates: of each region's load balancer, and CloudFront's.

resource "aws_acm_certificate" "first" {
  provider                  = aws.first
  domain_name               = local.origin
  subject_alternative_names = [var.domain]
  validation_method         = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "second" {
  provider                  = aws.second
  domain_name               = local.origin
  subject_alternative_names = [var.domain]
  validation_method         = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "global" {
  provider                  = aws.global
  domain_name               = local.origin
  subject_alternative_names = [var.domain]
  validation_method         = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "proof" {
  provider        = aws.global
  for_each        = toset([local.origin, var.domain])
  zone_id         = var.zone_id
  name            = local.proofs[each.key].resource_record_name
  type            = local.proofs[each.key].resource_record_type
  records         = [local.proofs[each.key].resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "first" {
  provider                = aws.first
  certificate_arn         = aws_acm_certificate.first.arn
  validation_record_fqdns = [for r in aws_route53_record.proof : r.fqdn]
}

resource "aws_acm_certificate_validation" "second" {
  provider                = aws.second
  certificate_arn         = aws_acm_certificate.second.arn
  validation_record_fqdns = [for r in aws_route53_record.proof : r.fqdn]
}

resource "aws_acm_certificate_validation" "global" {
  provider                = aws.global
  certificate_arn         = aws_acm_certificate.global.arn
  validation_record_fqdns = [for r in aws_route53_record.proof : r.fqdn]
}

# Health: every ten seconds, three in a row. With the record's minute a caller is
# sent to the other region after a minute and a half at most.

resource "aws_route53_health_check" "this" {
  provider          = aws.global
  for_each          = var.load_balancers
  fqdn              = each.value.name
  type              = "HTTPS"
  port              = 443
  resource_path     = "/health"
  request_interval  = 10
  failure_threshold = 3
  tags              = { Name = "${var.name}-${each.key}" }
}

resource "aws_route53_record" "origin" {
  provider        = aws.global
  for_each        = var.load_balancers
  zone_id         = var.zone_id
  name            = local.origin
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.this[each.key].id
  failover_routing_policy {
    type = each.key == "first" ? "PRIMARY" : "SECONDARY"
  }
  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = true
  }
}

# CloudFront.

# From these it asks the load balancers.
data "aws_ec2_managed_prefix_list" "cloudfront" {
  provider = aws.first
  name     = "com.amazonaws.global.cloudfront.origin-facing"
}

data "aws_cloudfront_cache_policy" "none" {
  provider = aws.global
  name     = "Managed-CachingDisabled"
}

data "aws_cloudfront_cache_policy" "files" {
  provider = aws.global
  name     = "Managed-CachingOptimized"
}

data "aws_cloudfront_origin_request_policy" "all" {
  provider = aws.global
  name     = "Managed-AllViewerExceptHostHeader"
}

resource "aws_cloudfront_distribution" "this" {
  provider        = aws.global
  count           = local.ready ? 1 : 0
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  comment         = var.name
  aliases         = [var.domain]

  origin {
    origin_id   = "regions"
    domain_name = local.origin
    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = "https-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_read_timeout      = 30
      origin_keepalive_timeout = 60
    }
  }

  default_cache_behavior {
    target_origin_id         = "regions"
    viewer_protocol_policy   = "https-only"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = data.aws_cloudfront_cache_policy.none.id
    origin_request_policy_id = data.aws_cloudfront_origin_request_policy.all.id
  }

  # The files of the pages: their Cache-Control says for how long.
  ordered_cache_behavior {
    path_pattern           = "/assets/*"
    target_origin_id       = "regions"
    viewer_protocol_policy = "https-only"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    cache_policy_id        = data.aws_cloudfront_cache_policy.files.id
    compress               = true
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.global.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}

resource "aws_route53_record" "domain" {
  provider = aws.global
  for_each = local.ready ? toset(["A", "AAAA"]) : toset([])
  zone_id  = var.zone_id
  name     = var.domain
  type     = each.key
  alias {
    name                   = aws_cloudfront_distribution.this[0].domain_name
    zone_id                = aws_cloudfront_distribution.this[0].hosted_zone_id
    evaluate_target_health = false
  }
}
