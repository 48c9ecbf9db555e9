"""How one proves who one is, for clients and for brokers among themselves."""
