"""Expressions over records: a tree (`nodes`), its meaning for one record (`row`) and for columns (`arrow`).

`inference.bind` checks a tree against a schema; `functions` has what trees are begun with; `aggregates` what
is kept of a group. Nothing here imports pyarrow but `arrow`, `arrow_types` and `kernels`.

Nulls, and fields that are missing, behave as SQL's. Integers have 64 bits: a sum that does not fit is an
error, never another number. Doubles are IEEE 754's: NaN equals nothing, not itself either, and x / 0 is
infinite; `min` and `max` take NaN for the greatest. `/` gives a double whatever it divides; `//` and `%` of
integers are Python's, and an error where they divide by zero. Decimals are exact. A timestamp is a point in
time: parts of it are UTC's unless a zone is named; local timestamps, without a zone, meet only their like.
"""
