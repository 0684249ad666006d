# Alarms of what stands around the service in a region. Those of the service
# itself are Prometheus' (deploy/prometheus).

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

locals {
  # For each: namespace, metric, dimensions, and of which value, in which
  # direction, over so many periods of five minutes, it speaks.
  database = { DBInstanceIdentifier = var.database }
  alarms = merge(
    {
      database-cpu = {
        space = "AWS/RDS", metric = "CPUUtilization", dimensions = local.database, statistic = "Average",
        above = true, threshold = 80, periods = 3, says = "PostgreSQL is busy: predictions wait in JOURNAL_DIR meanwhile."
      }
      database-storage = {
        space = "AWS/RDS", metric = "FreeStorageSpace", dimensions = local.database, statistic = "Minimum",
        above = false, threshold = 5e9, periods = 1, says = "PostgreSQL has less than 5 GB left: raise most_storage, or lower JOURNAL_RETENTION."
      }
      database-connections = {
        space = "AWS/RDS", metric = "DatabaseConnections", dimensions = local.database, statistic = "Maximum",
        above = true, threshold = 150, periods = 2, says = "Connections to PostgreSQL: each replica opens a few, so look for what leaks them."
      }
    },
    var.replica ? {
      database-lag = {
        space = "AWS/RDS", metric = "ReplicaLag", dimensions = local.database, statistic = "Maximum",
        above = true, threshold = 5, periods = 1, says = "The replica of PostgreSQL is more than 5 s behind: that much would be lost with the first region."
      }
    } : {},
    { for name, r in var.replications : "copy-${name}" => {
      space = "AWS/S3", metric = "ReplicationLatency", dimensions = { SourceBucket = r.source, DestinationBucket = r.destination, RuleId = r.rule }, statistic = "Maximum",
      above = true, threshold = 900, periods = 1, says = "The second region's copy of the ${name} is more than 15 minutes behind."
    } },
    { for name, r in var.replications : "copy-failed-${name}" => {
      space = "AWS/S3", metric = "OperationsFailedReplication", dimensions = { SourceBucket = r.source, DestinationBucket = r.destination, RuleId = r.rule }, statistic = "Sum",
      above = true, threshold = 0, periods = 1, says = "Some of the ${name} could not be copied to the second region."
    } },
  )
}

resource "aws_sns_topic" "this" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.address
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.space
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching" # nothing is copied while nothing is pushed
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

# The IDs of the nodes are known only once they are there: their number is.
resource "aws_cloudwatch_metric_alarm" "cache" {
  count               = 3
  alarm_name          = "${var.name}-redis-memory-${count.index}"
  alarm_description   = "Redis is nearly full, and drops what it should keep: take the next type."
  namespace           = "AWS/ElastiCache"
  metric_name         = "DatabaseMemoryUsagePercentage"
  dimensions          = { CacheClusterId = sort(var.cache_nodes)[count.index] }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 85
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
