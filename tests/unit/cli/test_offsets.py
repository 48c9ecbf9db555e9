import pytest

from ottla.cli.offsets import Kind, Position, offset_in, parse_position


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("beginning", Position(Kind.BEGINNING)),
        ("end", Position(Kind.END)),
        ("42", Position(Kind.OFFSET, 42)),
        ("-3", Position(Kind.OFFSET, -3)),
        ("@1700000000000", Position(Kind.TIMESTAMP, 1_700_000_000_000)),
        ("2023-11-14T22:13:20Z", Position(Kind.TIMESTAMP, 1_700_000_000_000)),
        ("2023-11-14T23:13:20.5+01:00", Position(Kind.TIMESTAMP, 1_700_000_000_500)),
    ],
)
def test_positions(text, position):
    assert parse_position(text) == position


@pytest.mark.parametrize(
    ("text", "ago_ms"), [("-90m", 5_400_000), ("-1.5h", 5_400_000), ("-7d", 604_800_000)]
)
def test_a_time_ago(monkeypatch, text, ago_ms):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    assert parse_position(text) == Position(Kind.TIMESTAMP, 1_700_000_000_000 - ago_ms)


@pytest.mark.parametrize(
    "text", ["-1y", "-h", "-1 h", "", "start", "@", "@-1", "--1", "1.5", "²", "2023-13-01"]
)
def test_what_is_no_position(text):
    with pytest.raises(ValueError, match="is neither"):
        parse_position(text)


@pytest.mark.parametrize(
    ("position", "found", "offset"),
    [
        (Position(Kind.BEGINNING), -1, 10),
        (Position(Kind.END), -1, 20),
        (Position(Kind.OFFSET, 15), -1, 15),
        (Position(Kind.OFFSET, 3), -1, 10),
        (Position(Kind.OFFSET, 99), -1, 20),
        (Position(Kind.OFFSET, -1), -1, 19),
        (Position(Kind.OFFSET, -99), -1, 10),
        (Position(Kind.TIMESTAMP, 1), 12, 12),
        (Position(Kind.TIMESTAMP, 1), -1, 20),
    ],
)
def test_a_position_stays_within_the_log(position, found, offset):
    assert offset_in(position, 10, 20, found) == offset
