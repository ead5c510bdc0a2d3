"""How long to wait before a failed attempt is repeated."""

import random
from datetime import timedelta

_MINUTE, _HOUR = 60, 3600
DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        5, 30, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE,
        _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR,
    )
)  # fmt: skip
_JITTER = 0.2
_THROTTLE_FIRST = timedelta(minutes=1)
_THROTTLE_LONGEST = timedelta(minutes=15)


def delay_after(attempts: int) -> timedelta | None:
    """The delay after this many failed attempts, varied by 20 % so that lanes do not retry in lockstep; None: give up."""
    if attempts > len(DELAYS):
        return None
    return DELAYS[attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret depends on it


def throttle_delay(times: int) -> timedelta:
    """How long to pause after this many 429s in a row without a Retry-After: a minute, doubling to 15."""
    return min(_THROTTLE_FIRST * (1 << min(times - 1, 10)), _THROTTLE_LONGEST)
