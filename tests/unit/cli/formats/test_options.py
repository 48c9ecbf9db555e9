"""Options of `ottla produce` and `ottla consume` that are not of the format that is asked for."""

import pytest

from ottla.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("produce", "t", "--key-column", "k"), "--key-column is for tables: csv, parquet and arrow."),
        (("produce", "t", "--format", "json", "--key-column", "k"), "--key-column is for tables"),
        (("produce", "t", "--base64"), "--base64 is for --format json."),
        (("produce", "t", "--format", "arrow", "--base64"), "--base64 is for --format json."),
        (("produce", "t", "--format", "csv", "--escape"), "--escape are for --format text."),
        (("produce", "t", "--format", "raw", "--delimiter", "|"), "--escape are for --format text."),
        (("produce", "t", "--format", "parquet", "--key-separator", "|"), "--escape are for --format text."),
        (("produce", "t", "--delimiter", ""), "--delimiter is empty."),
        (("produce", "t", "--key-separator", ""), "--key-separator is empty."),
        (("produce", "t", "--escape", "--delimiter", "a"), "with --escape delimiters"),
        (("consume", "t", "--base64"), "--base64 is for --format json."),
        (("consume", "t", "--format", "csv", "--keys"), "--escape are for --format text."),
        (("consume", "t", "--escape", "--separator", "a"), "with --escape delimiters"),
    ],
    ids=" ".join,
)
def test_options_of_another_format_are_refused(arguments, told, capsys):
    assert run([*arguments, "-b", "127.0.0.1:1"]) == 2
    assert told in capsys.readouterr().err
