"""The wire: headers, which messages exist, and their encoding. Pure."""
