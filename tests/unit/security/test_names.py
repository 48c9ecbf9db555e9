"""Who a certificate's subject is: as Java writes names, and by the rules that people have."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from tests.certificates import Authority

from ottla.security.names import CertificateError, PrincipalRules, subject_name

AUTHORITY = Authority()


def named(*names: tuple[x509.ObjectIdentifier, str]) -> str:
    return subject_name(AUTHORITY.give(*names).certificate.public_bytes(Encoding.DER))


def test_the_innermost_name_comes_first() -> None:
    names = (
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Bayern"),
        (NameOID.LOCALITY_NAME, "München"),
        (NameOID.ORGANIZATION_NAME, "Ottla & Co, Inc."),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "R+D"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.USER_ID, "u1"),
        (NameOID.COMMON_NAME, " ann "),
    )
    assert named(*names) == (
        r"CN=\ ann\ ,UID=u1,DC=example,OU=R\+D,O=Ottla & Co\, Inc.,L=München,ST=Bayern,C=DE"
    )


def test_kinds_without_a_short_name_are_written_as_they_are_coded() -> None:
    text = named((NameOID.COMMON_NAME, "a"), (NameOID.EMAIL_ADDRESS, "a@b.c"))
    assert text == "1.2.840.113549.1.9.1=#1605" + b"a@b.c".hex() + ",CN=a"


def test_an_empty_subject_is_an_empty_name() -> None:
    assert named() == ""


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(CertificateError):
        subject_name(data)


def test_what_is_cut_off_is_refused() -> None:
    whole = AUTHORITY.give_to("ann").certificate.public_bytes(Encoding.DER)
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(CertificateError):
            subject_name(whole[:end])


KAFKAS = (
    "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,"
    "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,"
    "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U,DEFAULT"
)


@pytest.mark.parametrize(
    ("rules", "subject", "name"),
    [
        ("DEFAULT", "CN=a,O=b", "CN=a,O=b"),
        (KAFKAS, "CN=kafka-server1,OU=ServiceUsers,O=x", "kafka-server1"),
        (KAFKAS, "CN=A,OU=B,O=C,L=D,ST=E,C=F", "a@b"),
        (KAFKAS, "O=x,cn=duke,C=US", "DUKE"),
        (KAFKAS, "O=x", "O=x"),
        ("RULE:^CN=(.*)$/$1$2/", "CN=a", "a$2"),
        (r"RULE:^CN=(\w+)\/(\w+)$/$2\/x/", "CN=a/b", "b/x"),
        ("RULE:^CN=(.*)$/$12/", "CN=a", "a2"),
        (" RULE:^O=.*$/no/ , DEFAULT ", "CN=a", "CN=a"),
    ],
)
def test_the_first_rule_that_fits_says_it(rules: str, subject: str, name: str) -> None:
    assert PrincipalRules(rules).name(subject) == name


def test_who_fits_no_rule_is_refused() -> None:
    with pytest.raises(CertificateError, match="no rule"):
        PrincipalRules("RULE:^CN=(.*)$/$1/").name("O=x")


@pytest.mark.parametrize("rules", ["nonsense", "DEFAULT nonsense", "RULE:a/b", "RULE:(/b/", "DEFAULT,x"])
def test_what_is_no_rule_is_refused(rules: str) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        PrincipalRules(rules)
