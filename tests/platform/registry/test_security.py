"""Who may ask: passwords, tokens, certificates, and rights by subject."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.platform.registry.conftest import Start
from tests.platform.registry.registry_process import Api, RegistryProcess

from ottla.http.basic import hash_password

TOKEN = "s3cret-token"
RULES = """
# principal operations subjects
alice  all          *
bob    read,write   orders-*
robot  read         *
"""


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(start: Start, tmp_path: Path) -> Api:
    users, tokens, rules = tmp_path / "users", tmp_path / "tokens", tmp_path / "rules"
    users.write_text(
        "".join(f"{each}:{hash_password(f'{each}-pw', b'salt' * 4)}\n" for each in ("alice", "bob"))
    )
    tokens.write_text(f"robot:{hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    rules.write_text(RULES)
    return start(
        authentication_users_file=str(users),
        authentication_tokens_file=str(tokens),
        authorization_rules_file=str(rules),
    ).ready()


def test_who_is_nobody_gets_nothing(guarded: Api) -> None:
    for headers in (
        {},
        basic("alice", "wrong"),
        basic("nobody", "x"),
        basic("", ""),
        bearer("wrong"),
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"authorization": "Digest x"},
        {"authorization": "Basic"},
    ):
        answer = guarded.get("/subjects", **headers)
        assert (answer.status, answer.code) == (401, 401)


def test_rights_are_by_subject(guarded: Api) -> None:
    alice, bob, robot = basic("alice", "alice-pw"), basic("bob", "bob-pw"), bearer(TOKEN)
    schema = {"schema": '"int"'}

    def post(subject: str, who: dict[str, str]) -> int:
        return guarded.call("POST", f"/subjects/{subject}/versions", schema, who).status

    assert post("payments-value", alice) == 200
    assert post("orders-value", bob) == 200
    assert post("payments-value", bob) == 403
    assert post("orders-value", robot) == 403
    assert guarded.get("/subjects", **alice).json == ["orders-value", "payments-value"]
    assert guarded.get("/subjects", **bob).json == ["orders-value"]
    assert guarded.get("/subjects/payments-value/versions/1", **bob).code == 40301
    assert guarded.get("/subjects/payments-value/versions/1", **robot).status == 200
    assert guarded.get("/schemas/ids/1/subjects", **bob).json == ["orders-value"]
    for method, path, body in (
        ("DELETE", "/subjects/orders-value", None),
        ("PUT", "/config/orders-value", {"compatibility": "NONE"}),
        ("PUT", "/config", {"compatibility": "NONE"}),
        ("PUT", "/mode", {"mode": "READONLY"}),
    ):
        assert guarded.call(method, path, body, bob).code == 40301
        assert guarded.call(method, path, body, alice).status == 200


def test_no_list_shows_what_may_not_be_read(guarded: Api) -> None:
    alice, bob = basic("alice", "alice-pw"), basic("bob", "bob-pw")
    record = {"type": "record", "name": "orders", "fields": [{"name": "id", "type": "int"}]}
    references = [{"name": "orders", "subject": "orders-key", "version": 1}]
    using = {"schema": '{"type": "array", "items": "orders"}', "references": references}
    guarded.call("POST", "/subjects/orders-key/versions", {"schema": json.dumps(record)}, bob)
    made = guarded.call("POST", "/subjects/payments-key/versions", using, alice).json
    for path, everything in (
        (f"/schemas/guids/{made['guid']}/ids", [{"context": ".", "id": made["id"]}]),
        ("/subjects/orders-key/versions/1/referencedby", [made["id"]]),
    ):
        assert guarded.get(path, **alice).json == everything
        assert guarded.get(path, **bob).json == []


def test_a_hash_is_made_by_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ottla", "registry", "password"]
    made = subprocess.run(command, input="pw\n", capture_output=True, text=True, check=True).stdout.strip()
    salt = base64.b64decode(made.split("$")[1])
    assert made == hash_password("pw", salt)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("authentication_users_file", "alice:plain\n"),
        ("authentication_tokens_file", "alice:short\n"),
        ("authorization_rules_file", "alice fly *\n"),
        ("authorization_rules_file", "alice\n"),
    ],
)
def test_files_that_make_no_sense_are_refused(start: Start, tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    process = start(**{name: str(file)})
    assert process.process.wait(30) == 2
    assert name.replace("_", ".") in process.log.read_text()


# Certificates.


def test_certificates_that_are_not_there_end_it(start: Start) -> None:
    process = start(listener_ssl_certificate_location="/nowhere.pem")
    assert process.process.wait(30) in (1, 2)
    assert "nowhere.pem" in process.log.read_text()


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of a server and of a client."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl")
    folder = tmp_path_factory.mktemp("pki")
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(folder, *new, "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "alice"):
        openssl(folder, *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(folder, *sign, "-days", "2", "-extfile", "san", "-out", f"{name}.pem")
    return folder


def secure(
    pki: Path, url: str, method: str, path: str, body: object = None, who: str | None = None
) -> tuple[int, object]:
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    if who is not None:
        context.load_cert_chain(pki / f"{who}.pem", pki / f"{who}.key")
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=20, context=context)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def certified(start: Start, pki: Path, rules: Path, needed: str) -> RegistryProcess:
    rules.write_text("alice all *\nserver all *\n")
    return start(
        listener_ssl_certificate_location=str(pki / "server.pem"),
        listener_ssl_key_location=str(pki / "server.key"),
        listener_ssl_ca_location=str(pki / "ca.pem"),
        ssl_client_authentication=needed,
        authorization_rules_file=str(rules),
    )


def test_certificates_name_who_asks(start: Start, pki: Path, tmp_path: Path) -> None:
    url = certified(start, pki, tmp_path / "rules", "REQUESTED").ready().url
    assert url.startswith("https://")
    schema = {"schema": '"int"'}
    assert secure(pki, url, "POST", "/subjects/a/versions", schema, "alice")[0] == 200
    assert secure(pki, url, "POST", "/subjects/b/versions", schema)[0] == 403
    assert secure(pki, url, "GET", "/subjects") == (200, [])
    assert secure(pki, url, "GET", "/subjects", None, "alice") == (200, ["a"])


def test_a_certificate_may_be_needed(start: Start, pki: Path, tmp_path: Path) -> None:
    """Of other instances too, which hand on requests with their own."""
    first, second = (certified(start, pki, tmp_path / "rules", "REQUIRED") for _ in range(2))
    urls = [first.ready().url, second.ready().url]
    for number, url in enumerate(urls):
        made = secure(pki, url, "POST", f"/subjects/s{number}/versions", {"schema": '"int"'}, "alice")
        assert made[0] == 200
        with pytest.raises(OSError):
            secure(pki, url, "GET", "/subjects")
    for url in urls:
        assert secure(pki, url, "GET", "/subjects", None, "alice") == (200, ["s0", "s1"])
