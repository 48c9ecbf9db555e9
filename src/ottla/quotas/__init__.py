"""How much clients take, and whether that is more than they may: pure."""
