"""The HTTP API by what it is about: each file has its handlers and its routes."""
