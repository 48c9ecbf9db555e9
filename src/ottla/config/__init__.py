"""Every setting of broker, topic and group: its name, type, default and documentation."""
