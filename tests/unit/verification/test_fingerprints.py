"""Fingerprints do not depend on order or on how the rows are cut into parts, and see every change."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.verification.fingerprints import (
    MAX_BUCKETS,
    MIN_BUCKETS,
    Fingerprints,
    bucket_of,
    bucket_range,
    buckets_for,
    merged,
)


def row_id(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=12).digest()


def fingerprints(numbers: list[int], buckets: int = 64) -> Fingerprints:
    found = Fingerprints(buckets)
    for number in numbers:
        found.add(row_id(number), ("row", number))
    return found


@given(st.lists(st.integers(0, 10_000), max_size=60), st.randoms(use_true_random=False))
def test_order_and_parts_do_not_matter(numbers: list[int], random: object) -> None:
    whole = fingerprints(numbers)
    parts = [fingerprints(numbers[start::3]) for start in range(3)]
    assert merged(parts, 64).differing(whole) == []
    assert merged(reversed(parts), 64).total == whole.total
    assert whole.rows == len(numbers)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60))
def test_a_row_that_is_missing_or_doubled_shows_in_its_bucket(numbers: list[int]) -> None:
    whole = fingerprints(numbers)
    bucket = [bucket_of(row_id(numbers[0]), 64)]
    assert fingerprints(numbers[1:]).differing(whole) == bucket
    assert fingerprints([*numbers, numbers[0]]).differing(whole) == bucket


def test_a_changed_row_shows_although_the_count_is_right() -> None:
    one, other = Fingerprints(64), Fingerprints(64)
    one.add(row_id(1), ("a", 1))
    other.add(row_id(1), ("a", 1.0))
    assert one.differing(other) == [bucket_of(row_id(1), 64)]
    assert one.total != other.total


def test_two_rows_with_swapped_values_show() -> None:
    one, other = Fingerprints(64), Fingerprints(64)
    for number, value in ((1, "x"), (2, "y")):
        one.add(row_id(number), value)
    for number, value in ((1, "y"), (2, "x")):
        other.add(row_id(number), value)
    assert one.differing(other)


@pytest.mark.parametrize("buckets", [64, 256, 65_536])
def test_the_range_of_a_bucket_holds_exactly_its_ids(buckets: int) -> None:
    for number in range(200):
        identity = row_id(number)
        first, after = bucket_range(bucket_of(identity, buckets), buckets)
        assert first <= identity
        assert after is None or identity < after
    assert bucket_range(0, buckets)[0] == b"\0" * 12
    assert bucket_range(buckets - 1, buckets)[1] is None
    assert bucket_range(0, buckets)[1] == bucket_range(1, buckets)[0]


def test_the_number_of_buckets_is_a_power_of_two_within_limits() -> None:
    assert buckets_for(0) == MIN_BUCKETS
    assert buckets_for(10**9) == MAX_BUCKETS
    assert buckets_for(1_000_000) == 4_096
