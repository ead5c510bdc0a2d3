"""Bytes from outside: golden payloads and signatures with pieces of syntax or any bytes in them. Hypothesis prefers what gets far."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from tests.mappings.byte_targets import TARGETS, Target

_SYNTAX = (b'"', b"\\", b"{", b"]", b",", b"\\ud83d", b"\\u0000", b"1e999", b"-0", b"\xef\xbb\xbf", b"/", b".pem", b"@", b"\n", b"&#", b"<")
_PIECES = st.sampled_from(_SYNTAX)


def changed(target_: Target) -> st.SearchStrategy[bytes]:
    """Seeds in which some stretches are replaced by pieces of syntax or by any bytes."""
    places = st.floats(0, 1)
    changes = st.lists(st.tuples(places, st.integers(0, 20), _PIECES | st.binary(max_size=8)), max_size=4)
    return st.tuples(st.sampled_from(target_.seeds), changes).map(lambda drawn: _apply(*drawn))


def _apply(seed: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for place, length, piece in changes:
        at = int(place * len(seed))
        seed = seed[:at] + piece + seed[at + length :]
    return seed


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_get_further_than_nothing(name: str) -> None:
    target_ = TARGETS[name]
    assert max(map(target_.check, target_.seeds)) > target_.check(b"")


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_of_any_bytes_holds(name: str) -> None:
    target_ = TARGETS[name]

    @settings(max_examples=150, deadline=None, database=None, phases=[*Phase][:-1], suppress_health_check=[*HealthCheck])
    @given(changed(target_))
    def run(data: bytes) -> None:
        target(target_.check(data))

    run()
