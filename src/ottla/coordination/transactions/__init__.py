"""The transactions of producers as pure state machines (KIP-98, KIP-360, KIP-890)."""
