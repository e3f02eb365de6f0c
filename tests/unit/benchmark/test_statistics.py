"""A quantile is claimed only from enough samples; intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.benchmark.statistics import (
    holm,
    judged_quantile,
    median_ratio,
    minimum_samples,
    quantile_interval,
    quantile_of,
    summarize,
)
from workbench.errors import ConfigurationError


@pytest.mark.parametrize(("quantile", "samples"), [(0.5, 10), (0.75, 20), (0.9, 50), (0.95, 100), (0.99, 500)])
def test_five_samples_must_be_expected_beyond_a_quantile(quantile: float, samples: int) -> None:
    assert minimum_samples(quantile) == samples
    assert quantile_of(list(range(samples)), quantile) == pytest.approx(quantile * (samples - 1))
    with pytest.raises(ConfigurationError, match=f"needs at least {samples}"):
        quantile_of(list(range(samples - 1)), quantile)


def test_a_p99_is_refused_from_fifty_samples_and_a_p90_judged_in_its_place() -> None:
    with pytest.raises(ConfigurationError, match="P99 cannot be claimed from 50 samples"):
        quantile_of(list(range(50)), 0.99)
    summary = summarize([float(n) for n in range(50)])
    assert (summary.p95, summary.p99, summary.judged_quantile) == (None, None, 0.9)
    assert summary.judged_ms == pytest.approx(44.1)


def test_too_few_samples_for_a_median_are_judged_by_nothing() -> None:
    assert judged_quantile(9) is None
    assert summarize([1.0] * 9).judged_ms is None


def test_enough_samples_give_every_quantile_and_the_mean() -> None:
    summary = summarize([float(n) for n in range(1, 502)])
    assert (summary.mean, summary.median, summary.p95, summary.p99) == (251, 251, 476, 496)
    assert summary.judged_quantile == 0.99


def test_intervals_of_the_median_hold_it_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    held = [not quantile_interval(random.exponential(size=60), 0.5).excludes(np.log(2)) for _ in range(200)]
    assert 0.9 <= np.mean(held) <= 0.99


def test_the_ratio_of_medians_knows_a_change_from_noise() -> None:
    random = np.random.default_rng(3)
    one, two = random.lognormal(size=300), random.lognormal(size=300)
    assert not median_ratio(one, two)[1].excludes(1)
    ratio, interval = median_ratio((two * 2).tolist(), one)
    assert ratio == pytest.approx(2, rel=0.3)
    assert interval.excludes(1)


def test_holm_stops_at_the_first_that_is_not_improbable_enough() -> None:
    assert holm([0.03, 0.001, 0.016, 0.9], 0.05) == [False, True, True, False]
    assert holm([0.03, 0.04], 0.05) == [False, False]
    assert holm([], 0.05) == []


def test_the_same_seed_gives_the_same_interval_and_many_samples_are_resampled_in_slices() -> None:
    samples = np.random.default_rng(1).normal(10, 1, size=5_000)
    assert quantile_interval(samples, 0.5, seed=5) == quantile_interval(samples, 0.5, seed=5)
    assert quantile_interval(samples, 0.5).high - quantile_interval(samples, 0.5).low < 0.12
