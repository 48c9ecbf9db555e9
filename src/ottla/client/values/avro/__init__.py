"""Avro: schemas, and what becomes of their values. Of these, `schema` and `binary` need no pyarrow."""
