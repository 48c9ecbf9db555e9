"""What a registry knows and how it changes: pure. Records of `_schemas` in, lookups and new records out."""
