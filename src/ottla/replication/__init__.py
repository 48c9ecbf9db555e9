"""Pure decisions on replicas: who leads, who is in sync, what is committed, what moves where."""
