# terraform test, against a provider that makes everything up: no account is
# needed, and nothing is made.

mock_provider "aws" {
  alias = "first"
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"] }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_ec2_managed_prefix_list" {
    defaults = { entries = [{ cidr = "203.0.113.128/25", description = "" }, { cidr = "198.51.100.0/24", description = "" }] }
  }
  mock_resource "aws_elasticache_replication_group" {
    defaults = { member_clusters = ["housing-001", "housing-002", "housing-003"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made-up" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/made-up" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:123456789012:made-up" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::made-up" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = { arn = "arn:aws:acm:us-west-2:123456789012:certificate/made-up" }
  }
  mock_resource "aws_acm_certificate_validation" {
    defaults = { certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/made-up" }
  }
  mock_resource "aws_db_instance" {
    defaults = { arn = "arn:aws:rds:us-west-2:123456789012:db:housing", address = "housing.example.com" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0" }
  }
}

mock_provider "aws" {
  alias = "second"
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_elasticache_replication_group" {
    defaults = { member_clusters = ["housing-001", "housing-002", "housing-003"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made-up" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/made-up" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:made-up" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::made-up" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = { arn = "arn:aws:acm:us-east-1:123456789012:certificate/made-up" }
  }
  mock_resource "aws_acm_certificate_validation" {
    defaults = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/made-up" }
  }
  mock_resource "aws_db_instance" {
    defaults = { arn = "arn:aws:rds:us-east-1:123456789012:db:housing-replica", address = "replica.example.com" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0" }
  }
}

mock_provider "aws" {
  alias = "global"
  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:us-east-1:123456789012:certificate/made-up"
      domain_validation_options = [
        { domain_name = "api.example.com", resource_record_name = "_a.api.example.com", resource_record_type = "CNAME", resource_record_value = "a.acm.example" },
        { domain_name = "origin-api.example.com", resource_record_name = "_b.api.example.com", resource_record_type = "CNAME", resource_record_value = "b.acm.example" },
      ]
    }
  }
  mock_resource "aws_acm_certificate_validation" {
    defaults = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/made-up" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:made-up" }
  }
}

variables {
  api_networks      = ["203.0.113.0/24"]
  database_password = "a-password-of-a-test-0123"
  redis_password    = "a-password-of-a-test-0123456789ab"
  domain            = "api.example.com"
  zone_id           = "Z0123456789ABC"
  alarm_address     = "operators@example.com"
}

run "before_the_clusters_were_deployed_to" {
  command = apply

  assert {
    condition     = length(module.failover.health_checks) == 0 && length(module.global_alarms) == 0
    error_message = "There is nothing yet whose health could be asked."
  }
  assert {
    condition     = output.regions["us-west-2"].model_dir == "s3://housing-models-123456789012-us-west-2/production?region=us-west-2"
    error_message = "The first region reads the bucket that is written to."
  }
  assert {
    condition     = output.regions["us-east-1"].model_dir == "s3://housing-models-123456789012-us-east-1/production?region=us-east-1"
    error_message = "The second region reads the copy."
  }
  assert {
    condition     = output.regions["us-east-1"].database_host == "housing.example.com" && output.regions["us-east-1"].database_replica_host == "replica.example.com"
    error_message = "The second region writes to the first's database and reads from its own replica."
  }
  assert {
    condition     = output.regions["us-east-1"].trusted_proxies == "198.51.100.0/24,203.0.113.128/25"
    error_message = "The API believes CloudFront who asks."
  }
}

run "with_both_load_balancers" {
  command = apply
  variables {
    load_balancers = {
      first  = { name = "k8s-housing-1.elb.us-west-2.amazonaws.com", zone_id = "Z18D5FSROUN65G" }
      second = { name = "k8s-housing-2.elb.us-east-1.amazonaws.com", zone_id = "Z26RNL4JYFTOTI" }
    }
  }

  assert {
    condition     = toset(keys(module.failover.health_checks)) == toset(["first", "second"])
    error_message = "Both regions are asked for their health."
  }
  assert {
    condition     = output.address == "https://api.example.com"
    error_message = "The API is at its domain."
  }
}

run "one_load_balancer_is_no_failover" {
  command = plan
  variables {
    load_balancers = { first = { name = "k8s-housing-1.elb.us-west-2.amazonaws.com", zone_id = "Z18D5FSROUN65G" } }
  }
  expect_failures = [var.load_balancers]
}

run "the_whole_internet_may_not_reach_the_clusters" {
  command = plan
  variables {
    api_networks = ["0.0.0.0/0"]
  }
  expect_failures = [var.api_networks]
}

run "one_region_is_not_two" {
  command = plan
  variables {
    regions = { first = "us-west-2", second = "us-west-2" }
  }
  expect_failures = [var.regions]
}
