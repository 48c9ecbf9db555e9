"""What a broker shows of itself over HTTP: metrics under the names of Strimzi's rules for Kafka, and whether
it lives and serves. Only a broker with `ottla.metrics.listener` loads any of it.
"""
