"""The soak's faults, for seconds: the harness itself works, and nothing acknowledged is lost. `make soak` runs them at length."""

import os
import random
from pathlib import Path

import pytest

from tests.faults.harness import in_parallel
from tests.faults.soak import Outcome, run
from tests.faults.soak_faults import FAULTS

SECONDS = 1.5


def test_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(1_000_000))
    print(f"FAULTS_SEED={seed}")
    monkeypatch.chdir(tmp_path)
    dice = random.Random(seed)
    chosen = [FAULTS["clock stepped 3 h both ways"], FAULTS["Drip with a wrong certificate"]]
    outcomes = in_parallel(
        *(
            lambda fault=fault, number=number: run(fault, "sqlite", None, dice, SECONDS, tmp_path / f"site{number}")
            for number, fault in enumerate(chosen)
        )
    )
    for outcome in outcomes:
        assert isinstance(outcome, Outcome) or "C compiler" in outcome
        if isinstance(outcome, Outcome):
            assert outcome.acknowledged > 0
            assert (outcome.lost, outcome.broken, outcome.delivered) == (0, 0, outcome.acknowledged), outcome
