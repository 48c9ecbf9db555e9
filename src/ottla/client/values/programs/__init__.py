"""Schemas compiled to small programs, and what runs them over all values of a batch, into columns."""
