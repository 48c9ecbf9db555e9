"""Protobuf: schemas, and what becomes of their values. Of these, `schema` and `known` need no pyarrow."""
