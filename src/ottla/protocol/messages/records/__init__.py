"""What internal topics and control batches hold.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""
