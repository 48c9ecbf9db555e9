from pathlib import Path

from ottla.cli.main import COMMANDS
from ottla.cli.reference import commands, options, page

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_current():
    assert PAGE.read_text() == page(), "python -m ottla.cli.reference > docs/cli.md"


def test_the_page_has_every_command_and_option():
    text = PAGE.read_text()
    paths = [context.command_path for context in commands()]
    assert {path.split()[1] for path in paths} == set(COMMANDS)
    for context in commands():
        assert f"\n## {context.command_path}\n" in text
        assert all(f"`{names}`" in text for names, _ in options(context))
    assert all(
        option in text for option in ("--bootstrap-server", "OTTLA_BOOTSTRAP_SERVERS", "`-X NAME=VALUE`")
    )
