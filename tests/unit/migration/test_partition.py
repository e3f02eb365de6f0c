"""How a table is cut for its workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.migration.partition import rows_each


@given(st.integers(0, 10**8), st.integers(100, 10**6), st.integers(1, 64))
def test_every_worker_gets_as_many_partitions_and_none_is_too_large(count: int, at_most: int, workers: int) -> None:
    each = rows_each(count, at_most=at_most, workers=workers)
    assert 0 < each <= at_most
    if count <= at_most:
        assert each == at_most
    else:
        rounds = -(-count // (at_most * workers))
        assert (rounds - 1) * workers < -(-count // each) <= rounds * workers


def test_a_million_rows_for_three_workers() -> None:
    assert rows_each(1_000_000, at_most=100_000, workers=3) == 83_334, "12 partitions, not 10"
