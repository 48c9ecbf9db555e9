"""What systems log into topics, as syslog has it (RFC 5424, RFC 3164)."""
