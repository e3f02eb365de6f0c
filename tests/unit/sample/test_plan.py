"""Sizes, users and tenants of a sample."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from workbench.sample.ddl import TABLES
from workbench.sample.plan import SamplePlan


def test_scale_1_has_about_60_000_rows_in_the_ten_tables() -> None:
    rows = SamplePlan(scale=1, seed=1).expected_rows()
    assert tuple(rows) == TABLES
    assert 55_000 < sum(rows.values()) < 65_000


@pytest.mark.parametrize("scale", [10, 1000])
def test_large_tables_grow_linearly_and_configuration_more_slowly(scale: int) -> None:
    one, many = SamplePlan(1, 1).expected_rows(), SamplePlan(scale, 1).expected_rows()
    assert many["transaction_scores"] == scale * one["transaction_scores"]
    assert many["detection_runs"] == pytest.approx(scale * one["detection_runs"], rel=0.01)
    assert one["detectors"] < many["detectors"] < scale * one["detectors"] / 2


def test_few_users_have_most_of_the_investigations() -> None:
    plan = SamplePlan(scale=5, seed=1)
    counts = Counter(plan.user_ids("investigation user", np.arange(plan.investigations)))
    sizes = sorted(counts.values(), reverse=True)
    assert len(sizes) > 50
    assert sizes[0] > 10 * sizes[len(sizes) // 2]
    assert any(not user.isascii() for user in counts)


def test_identifiers_ascend_with_their_number() -> None:
    ids = SamplePlan(1, 1).investigation_ids(np.arange(300))
    assert ids == sorted(set(ids))
