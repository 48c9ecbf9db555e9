"""The pages that are made of definitions are current."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.connect.reference import connectors_page, converters_page, transforms_page

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("name", "page"),
    [("connectors", connectors_page), ("transforms", transforms_page), ("converters", converters_page)],
)
def test_the_committed_page_is_current(name: str, page: object) -> None:
    assert callable(page)
    committed = (DOCS / f"connect-{name}.md").read_text()
    assert committed == page(), f"run python -m ottla.connect.reference {name} > docs/connect-{name}.md"
