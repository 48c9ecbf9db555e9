"""Membership in groups, as state machines without I/O."""
