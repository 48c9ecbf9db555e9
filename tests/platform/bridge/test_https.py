"""The bridge behind TLS."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path

from tests.certificates import Authority
from tests.platform.bridge.conftest import Start


def test_it_serves_https(start: Start, tmp_path: Path) -> None:
    authority = Authority()
    identity = authority.give_to("bridge")
    certificate, key = tmp_path / "bridge.pem", tmp_path / "bridge.key"
    certificate.write_text(identity.chain_pem)
    key.write_text(identity.key_pem("secret of the key"))
    process = start(
        http_ssl_enable="true",
        http_ssl_certificate_location=str(certificate),
        http_ssl_key_location=str(key),
        http_ssl_key_password="secret of the key",
    )
    assert process.api.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cadata=authority.pem)
    asked = urllib.request.Request(
        process.api.url + "/consumers/tls",
        b'{"name": "c"}',
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(asked, timeout=60, context=context) as answer:
        assert json.load(answer)["base_uri"] == f"{process.api.url}/consumers/tls/instances/c"
