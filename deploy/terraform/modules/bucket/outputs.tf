output "first" {
  description = "The bucket that is written to."
  value       = { name = aws_s3_bucket.first.bucket, arn = aws_s3_bucket.first.arn }
}

output "second" {
  description = "The copy of it."
  value       = { name = aws_s3_bucket.second.bucket, arn = aws_s3_bucket.second.arn }
}

output "replication" {
  description = "Which replication to watch: buckets and rule."
  value       = { source = aws_s3_bucket.first.bucket, destination = aws_s3_bucket.second.bucket, rule = local.rule }
}
