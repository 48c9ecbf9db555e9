"""What `python -m bench secured` makes of its samples."""

from __future__ import annotations

from pathlib import Path

from bench.secured import page, properties_of, settings_of, table


def test_ratios_are_of_the_same_round() -> None:
    samples = {
        "ottla": [{"MB/s": 20.0, "alone": 1.0}, {"MB/s": 90.0, "alone": 3.0}, {"MB/s": 40.0, "alone": 2.0}],
        "kafka": [{"MB/s": 10.0}, {"MB/s": 30.0}, {"MB/s": 40.0}],
    }
    lines = table(samples)
    assert lines[2:] == ["| MB/s | 40 | 30 | 2.00 | 1.00-3.00 |", "| alone | 2 |  |  |  |"]
    assert "\n".join(lines) in page(lines, {"cores": "2"})


def test_without_kafka_there_is_no_ratio() -> None:
    assert table({"ottla": [{"MB/s": 20.0}]})[2:] == ["| MB/s | 20 |  |  |"]


def test_a_broker_gets_a_certificate_that_its_clients_believe(tmp_path: Path) -> None:
    settings = dict(each.split("=", 1) for each in settings_of(tmp_path))
    store = Path(settings["ssl.keystore.location"]).read_text()
    assert "BEGIN PRIVATE KEY" in store
    assert Path(properties_of(tmp_path)["ssl.ca.location"]).read_text() in store
