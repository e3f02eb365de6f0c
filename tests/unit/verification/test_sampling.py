"""The bound of a sample: the rule of three where nothing is wrong, the binomial distribution elsewhere."""

from __future__ import annotations

import pytest

from workbench.verification.sampling import upper_bound


@pytest.mark.parametrize("sampled", [10, 300, 10_000])
def test_nothing_wrong_gives_the_exact_form_of_the_rule_of_three(sampled: int) -> None:
    assert upper_bound(sampled, 0) == pytest.approx(1 - 0.05 ** (1 / sampled), rel=1e-6)
    assert upper_bound(sampled, 0) <= 3 / sampled


def test_known_values_of_clopper_and_pearson() -> None:
    assert upper_bound(20, 1) == pytest.approx(0.21611, abs=1e-4)  # beta(2, 19) at 0.95
    assert upper_bound(100, 10, 0.975) == pytest.approx(0.17622, abs=1e-4)


def test_edges() -> None:
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(5, 5) == 1.0
    assert upper_bound(1_000, 1) > upper_bound(1_000, 0)
