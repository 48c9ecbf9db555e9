"""User name and password out of Java's settings."""

from __future__ import annotations

import pytest

from ottla.identity.jaas import PLAIN_LOGIN, SCRAM_LOGIN, parse_jaas


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ('required username="ann" password="pass";', "ann", "pass"),
        ("required username='ann' password='say \"x\"';", "ann", 'say "x"'),
        ('required\n  username="ann"\n  password="a;b=c"\n;\n', "ann", "a;b=c"),
        ('required username="ann" password="=";', "ann", "="),
        ('required username="ann" password=";";', "ann", ";"),
        (r'required username="ann" password="\"\\\101\tz\q";', "ann", '"\\A\tzq'),
        ('required username="ann" password="";', "ann", ""),
        ("required username = ann password = p-1_x ;", "ann", "p-1_x"),
    ],
)
@pytest.mark.parametrize("module", [PLAIN_LOGIN, SCRAM_LOGIN])
def test_options_are_read(module: str, text: str, username: str, password: str) -> None:
    assert parse_jaas(f"{module} {text}") == (module, {"username": username, "password": password})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x required",
        'x required password="hush"',
        'x required password="hush;',
        'x required password "hush";',
        "x required password=;",
        'x required password="hush" password="hush";',
        "x required password==;",
        'x required password="hush"; y required;',
        'x required "hush";',
    ],
)
def test_what_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="must") as raised:
        parse_jaas(text)
    assert "hush" not in str(raised.value)
