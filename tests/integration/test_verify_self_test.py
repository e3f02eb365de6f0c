"""The verifier finds what is planted, at its place, and raises no alarm on clean copies."""

from __future__ import annotations

import pytest

from workbench.settings import Settings
from workbench.verification.planting import Position
from workbench.verification.self_test import self_test

EVERY = 23
"""In the short form one planting of so many is made; 23 is coprime to the number of positions."""


def test_planted_defects_are_found_and_clean_copies_raise_no_alarm(servers: Settings) -> None:
    positions: set[Position] = set()

    def wanted(number: int, planting: object) -> bool:
        chosen = number % EVERY == 0
        if chosen:
            positions.add(planting.position)  # type: ignore[attr-defined]
        return chosen

    result = self_test(servers, seed=11, clean_runs=1, wanted=wanted)
    assert result.passed, result.text()
    assert result.planted == result.caught > 15
    assert result.kinds == result.planted  # as many kinds as plantings
    assert positions >= {Position.FIRST, Position.LAST, Position.MIDDLE, Position.PARTITION_EDGE}
    assert f"{result.planted} caught / {result.planted} planted" in result.text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_kind_at_every_position_and_twenty_clean_copies(servers: Settings) -> None:
    result = self_test(servers, seed=100)
    assert result.passed, result.text()
    assert result.kinds >= 60
    assert result.planted > 400
    assert result.clean_runs == 20
