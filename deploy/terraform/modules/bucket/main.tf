# A bucket in each of two regions: versions are kept, nothing is public, and
# what is written to the first is copied to the second within fifteen minutes,
# with an event when it is not.

terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.first, aws.second]
    }
  }
}

data "aws_region" "first" {
  provider = aws.first
}

data "aws_region" "second" {
  provider = aws.second
}

resource "aws_s3_bucket" "first" {
  provider = aws.first
  bucket   = "${var.name}-${data.aws_region.first.name}"
}

resource "aws_s3_bucket" "second" {
  provider = aws.second
  bucket   = "${var.name}-${data.aws_region.second.name}"
}

resource "aws_s3_bucket_versioning" "first" {
  provider = aws.first
  bucket   = aws_s3_bucket.first.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_versioning" "second" {
  provider = aws.second
  bucket   = aws_s3_bucket.second.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "first" {
  provider = aws.first
  bucket   = aws_s3_bucket.first.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "second" {
  provider = aws.second
  bucket   = aws_s3_bucket.second.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "first" {
  provider                = aws.first
  bucket                  = aws_s3_bucket.first.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_public_access_block" "second" {
  provider                = aws.second
  bucket                  = aws_s3_bucket.second.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# What was written over or deleted stays for ninety days.
resource "aws_s3_bucket_lifecycle_configuration" "first" {
  provider   = aws.first
  bucket     = aws_s3_bucket.first.id
  depends_on = [aws_s3_bucket_versioning.first]
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "second" {
  provider   = aws.second
  bucket     = aws_s3_bucket.second.id
  depends_on = [aws_s3_bucket_versioning.second]
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "assume" {
  provider = aws.first
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "copy" {
  provider = aws.first
  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [aws_s3_bucket.first.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${aws_s3_bucket.first.arn}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${aws_s3_bucket.second.arn}/*"]
  }
}

resource "aws_iam_role" "copy" {
  provider           = aws.first
  name               = "${var.name}-copy"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "copy" {
  provider = aws.first
  name     = "copy"
  role     = aws_iam_role.copy.id
  policy   = data.aws_iam_policy_document.copy.json
}

resource "aws_s3_bucket_replication_configuration" "copy" {
  provider   = aws.first
  bucket     = aws_s3_bucket.first.id
  role       = aws_iam_role.copy.arn
  depends_on = [aws_s3_bucket_versioning.first, aws_s3_bucket_versioning.second]
  rule {
    id     = local.rule
    status = "Enabled"
    filter {}
    delete_marker_replication {
      status = "Enabled"
    }
    destination {
      bucket = aws_s3_bucket.second.arn
      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }
    }
  }
}

locals {
  rule = "all"
}
