terraform {
  required_version = ">= 1.11" # write-only arguments keep the database's password out of the state

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 7"
    }
  }

  # The state holds the password of Redis: keep it encrypted, and locked while
  # somebody changes it. Name your bucket by `terraform init -backend-config`.
  backend "s3" {
    key          = "housing/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  alias  = "first"
  region = var.regions.first
  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "second"
  region = var.regions.second
  default_tags {
    tags = local.tags
  }
}

# CloudFront takes certificates, and Route 53 shows its health checks, here alone.
provider "aws" {
  alias  = "global"
  region = "us-east-1"
  default_tags {
    tags = local.tags
  }
}
