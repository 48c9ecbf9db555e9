"""Keys and values with schemas in a registry, as JSON on the command line."""
