output "host" {
  description = "Name of the database."
  value       = aws_db_instance.this.address
}

output "arn" {
  description = "For a replica of it."
  value       = aws_db_instance.this.arn
}

output "name" {
  description = "For alarms."
  value       = aws_db_instance.this.identifier
}
