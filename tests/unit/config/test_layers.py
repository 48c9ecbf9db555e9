"""Which of a file's, the cluster's and a broker's own settings of a key and its synonyms holds."""

import pytest

from ottla.config.broker import BROKER_CONFIGS
from ottla.config.layers import BrokerLayers, resolve

MS, MINUTES, HOURS = (f"log.retention.{unit}" for unit in ("ms", "minutes", "hours"))


def retention(**layers):
    return resolve((MS, MINUTES, HOURS), BrokerLayers(**layers), BROKER_CONFIGS)


def test_a_brokers_own_setting_wins_then_the_clusters_then_the_files():
    layers = {"dynamic": {MS: "3"}, "dynamic_default": {MS: "2"}, "static": {MS: "1"}}
    assert retention(**layers) == 3
    del layers["dynamic"]
    assert retention(**layers) == 2
    del layers["dynamic_default"]
    assert retention(**layers) == 1


def test_the_finer_unit_wins_in_whatever_layer():
    assert retention(dynamic={HOURS: "1"}, static={MS: "7"}) == 7
    assert retention(dynamic={HOURS: "1"}, static={MINUTES: "7"}) == 7 * 60_000


@pytest.mark.parametrize(
    ("key", "text", "ms"),
    [
        (MS, "90", 90),
        (MINUTES, "2", 120_000),
        (HOURS, "3", 10_800_000),
        (MINUTES, "0", 0),
        (MINUTES, "-1", -1),
        (HOURS, "-1", -1),
    ],
)
def test_coarser_units_count_in_milliseconds_and_no_limit_stays_that(key, text, ms):
    assert retention(static={key: text}) == ms


def test_a_default_counts_in_milliseconds_too():
    assert retention() == 7 * 24 * 3_600_000
