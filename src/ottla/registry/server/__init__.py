"""The registry as a server: the log it lives in, the election of who writes, the HTTP API."""
