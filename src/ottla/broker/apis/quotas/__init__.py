"""How much clients may take."""
