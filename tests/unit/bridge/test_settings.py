"""Settings of the bridge, Strimzi's files among them."""

from __future__ import annotations

import pytest

from ottla.bridge.settings import configuration
from ottla.client.errors import ConfigurationError


def test_a_file_of_strimzis_serves() -> None:
    made = configuration(
        {
            "bridge.id": "my-bridge",
            "http.host": "0.0.0.0",
            "http.port": "8090",
            "http.timeoutSeconds": "60",
            "http.cors.enabled": "true",
            "http.cors.allowedOrigins": "https://strimzi.io",
            "http.cors.allowedMethods": "GET,POST",
            "kafka.bootstrap.servers": "a:9092",
            "kafka.producer.acks": "1",
            "kafka.consumer.auto.offset.reset": "earliest",
            "kafka.security.protocol": "SASL_SSL",
        }
    )
    assert (made.host, made.port) == ("0.0.0.0", 8090)
    assert (made.bridge.bridge_id, made.bridge.http_timeout_seconds) == ("my-bridge", 60)
    assert made.bridge.http_cors_allowed_methods == "GET,POST"
    assert made.client == {"bootstrap.servers": "a:9092", "security.protocol": "SASL_SSL"}
    assert made.producer == {"acks": "1"}
    assert made.consumer["auto.offset.reset"] == "earliest"
    assert made.consumer["queued.max.messages.kbytes"] == 1024
    assert configuration({"kafka.consumer.fetch.max.bytes": "7"}).consumer["fetch.max.bytes"] == "7"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"http.timeoutSecond": "1"}, "did you mean http.timeout.seconds"),
        ({"http.port": "70000"}, "between 0 and 65535"),
        ({"http.port": "x"}, "between 0 and 65535"),
        ({"http.ssl.enable": "true"}, "needs http.ssl.certificate.location"),
        ({"http.cors.allowedOrigins": "("}, "http.cors.allowedOrigins"),
        ({"http.cors.allowedOrigins": "*.example"}, "http.cors.allowedOrigins"),
        ({"ottla.bridge.consumers.max": "0"}, "between 1"),
    ],
)
def test_what_makes_no_sense_is_told(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configuration(given)
