import click
import pytest

from ottla.cli.properties import Properties, read_properties, record_max_bytes
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import ClientSettings


def test_a_file_of_kafkas_tools(tmp_path):
    """It serves producers, consumers and admin clients at once: each takes what is its own."""
    path = tmp_path / "client.properties"
    path.write_text(
        "# from Kafka\nbootstrap.servers=a:1\nsecurity.protocol = SASL_SSL\nsasl.mechanism: SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n"
        '  username="me" password="p=\\u00e9 #1";\n'
        "ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\nssl.keystore.type=pem\n"
        "ssl.keystore.location=/me.pem\nssl.key.password=secret\nssl.truststore.password=\n"
        "acks=1\nenable.idempotence=false\nkey.serializer=org.apache.Whatever\nlinger.ms=7\n"
    )
    properties = Properties({"linger.ms": "9"}, read_properties(str(path)))
    settings = properties.client(["h:1"], client_id="x")
    assert (settings.security_protocol, settings.bootstrap_servers) == ("SASL_SSL", ("h:1",))
    assert settings.sasl_credentials == ("me", "p=é #1")
    assert (settings.ssl_truststore_location, settings.ssl_keystore_location) == ("/ca.pem", "/me.pem")
    assert settings.ssl_key_password == "secret"
    producer = properties.producer(acks="all", linger_ms=1, compression_type="gzip")
    assert (producer.acks, producer.linger_ms, producer.compression_type) == ("1", 9, "gzip")
    assert properties.bootstrap_servers == (None, "a:1")
    properties.check(ProducerSettings, ClientSettings)


def test_names_of_librdkafka():
    properties = Properties(
        {"message.max.bytes": "5000", "queue.buffering.max.ms": "3", "compression.codec": "zstd"}
        | {"queue.buffering.max.kbytes": "2000", "fetch.wait.max.ms": "8"}
    )
    producer = properties.producer()
    assert record_max_bytes(producer) == 5000 - 128
    assert (producer.linger_ms, producer.compression_type, producer.buffer_memory) == (3, "zstd", 2_000_000)
    assert properties.consumer().fetch_max_wait_ms == 8


def test_stores_of_java_are_the_clients_own_but_those_of_registries_pem_alone(tmp_path):
    path = tmp_path / "client.properties"
    path.write_text("ssl.truststore.type=PKCS12\nssl.truststore.location=/t.p12\nssl.truststore.password=p\n")
    settings = Properties({}, read_properties(str(path))).client(["a:1"])
    assert (settings.ssl_truststore_location, settings.ssl_truststore_password) == ("/t.p12", "p")
    path.write_text("schema.registry.ssl.truststore.location=/trust.jks\n")
    with pytest.raises(click.UsageError, match=r"ssl.truststore.location: only PEM is read, with "):
        Properties({}, read_properties(str(path)))


def test_files_that_are_none(tmp_path):
    path = tmp_path / "client.properties"
    path.write_bytes(b"a=\xff\n")
    with pytest.raises(click.UsageError, match="it is not UTF-8"):
        read_properties(str(path))
    path.write_text("a=1\nb=\\u12\n")
    with pytest.raises(click.UsageError, match=r"client.properties:2: "):
        read_properties(str(path))
