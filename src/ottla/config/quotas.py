"""The keys of what quotas are measured over."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import INT, ConfigDef, at_least

_SAMPLES = "How many samples the rates of clients are measured over."
_SECONDS = "How long each of the samples is, in seconds."

QUOTA_KEYS = (
    ConfigDef("quota.window.num", INT, 11, _SAMPLES, at_least(1)),
    ConfigDef("quota.window.size.seconds", INT, 1, _SECONDS, at_least(1)),
    ConfigDef(
        "controller.quota.window.num",
        INT,
        11,
        "How many samples of changed partitions clients may make at once.",
        at_least(1),
    ),
    ConfigDef("controller.quota.window.size.seconds", INT, 1, _SECONDS, at_least(1)),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class QuotaConfig:
    """What quotas are set up by."""

    quota_window_num: int
    quota_window_size_seconds: int
    controller_quota_window_num: int
    controller_quota_window_size_seconds: int
