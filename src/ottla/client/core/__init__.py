"""What a client decides, without I/O: time, chance and bytes come in as arguments."""
