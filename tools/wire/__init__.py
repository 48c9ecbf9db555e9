"""Writes `ottla.protocol.messages` from Apache Kafka's own message definitions.

    python -m tools.wire JAR...

The jars are kafka-clients, kafka-group-coordinator, kafka-transaction-coordinator, kafka-share-coordinator
and kafka-storage of one release, in any order and among others; without arguments they are fetched with
Maven.
"""
