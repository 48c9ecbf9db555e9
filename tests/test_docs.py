"""Generated pages are current, and what documentation names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ottla.broker.reference import page as apis_page
from ottla.config.reference import reference_page

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


def test_api_page_is_current() -> None:
    assert (ROOT / "docs/apis.md").read_text() == apis_page(), (
        "python -m ottla.broker.reference > docs/apis.md"
    )


def test_reference_page_is_current() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == reference_page()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_architecture_names_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) <= 300
    named = re.findall(r"`([a-z]+/[\w/]+\.py)`", text)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "src/ottla" / name).exists()] == []
