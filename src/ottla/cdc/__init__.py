"""Changes of databases as streams, by Debezium's contract."""
