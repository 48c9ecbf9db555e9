"""A cluster whose brokers speak TLS and SASL among themselves, and TLS to etcd, under some of the faults."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.certificates import Authority

from .clients import Clients
from .copying import SETTINGS, Copying
from .faulty_cluster import faults, run_faulty_cluster

FAULTS: Final = ("killed", "cut off", "restarted in turn")
END_S: Final = 120.0
_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule required"


def secured(folder: Path) -> tuple[Mapping[str, str], list[str]]:
    """Settings of brokers, and options of etcd."""
    authority = Authority()
    ca, node = authority.write(folder / "ca.pem"), authority.give_to("node")
    certificate, key = folder / "etcd.pem", folder / "etcd.key"
    certificate.write_text(node.chain_pem)
    key.write_text(node.key_pem())
    settings = {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:SASL_SSL",
        "ssl.keystore.location": node.write(folder / "node.pem"),
        "ssl.truststore.location": ca,
        "listener.name.internal.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.internal.plain.sasl.jaas.config": (
            f'{_LOGIN} username="broker" password="hush" user_broker="hush";'
        ),
        "connections.max.reauth.ms": "4000",
        "ottla.metadata.store.tls.ca": ca,
    }
    return settings, ["--cert-file", str(certificate), "--key-file", str(key)]


def test_a_cluster_keeps_its_promises_behind_tls_and_sasl(tmp_path: Path) -> None:
    settings, etcd_options = secured(tmp_path)
    chosen = random.Random(random.randrange(1 << 32))
    with run_faulty_cluster(tmp_path, {**SETTINGS, **settings}, etcd_options=etcd_options) as cluster:
        (tmp_path / "copies").mkdir()
        copying = Copying(Clients(cluster.bootstrap), cluster.bootstrap, tmp_path / "copies", replicas=3)
        kinds = faults(cluster, chosen)
        try:
            for kind in FAULTS:
                kinds[kind]()
                cluster.recover()
                copying.keep_alive()
            operations = copying.finish(END_S)
        finally:
            copying.end()
        assert operations["transaction", "ok"] > len(FAULTS)
        logs = cluster.all_logs()
        assert "Traceback" not in logs, tmp_path
        assert "hush" not in logs
        assert "failed authentication" not in logs
        for port in cluster.internal_ports:
            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.sendall(b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff")
                plain.settimeout(10)
                assert plain.recv(1)[:1] in (b"", b"\x15"), "an alert of TLS, or nothing"
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", cluster.internal_ports[0])) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as shown,
        ):
            assert shown.version() == "TLSv1.3"
