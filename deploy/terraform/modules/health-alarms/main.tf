# Alarms of a region that callers are no longer sent to. Route 53 shows its
# checks in us-east-1 alone.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_sns_topic" "this" {
  name = "${var.name}-regions"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.address
}

resource "aws_cloudwatch_metric_alarm" "unhealthy" {
  for_each            = var.health_checks
  alarm_name          = "${var.name}-${each.key}-region-unhealthy"
  alarm_description   = "Route 53 gets no 200 from /health of the ${each.key} region: docs/recovery.md, region failure."
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = each.value }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
