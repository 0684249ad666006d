output "certificates" {
  description = "ARNs of the certificates of the load balancers, once they are valid."
  value = {
    first  = aws_acm_certificate_validation.first.certificate_arn
    second = aws_acm_certificate_validation.second.certificate_arn
  }
}

output "health_checks" {
  description = "IDs of the health checks, by first and second."
  value       = { for name, check in aws_route53_health_check.this : name => check.id }
}

output "proxies" {
  description = "Networks from which CloudFront asks the load balancers."
  value       = sort([for e in data.aws_ec2_managed_prefix_list.cloudfront.entries : e.cidr])
}
