"""JSON with its JSON Schema in a registry."""
