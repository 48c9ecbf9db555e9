"""Avro: schemas, and what becomes of their values. Of these, `schema` and `defaults` need no pyarrow."""
