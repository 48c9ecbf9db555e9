"""Objects of S3 and other stores."""
