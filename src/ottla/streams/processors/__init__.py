"""The operators of the DSL, a record at a time."""
