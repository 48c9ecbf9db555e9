"""Streams in columns: chunks of records, and the operators that take them whole.

Here nothing changes what a topology means: see `task.chunks`.
"""
