"""What a score is, and the risk that follows from findings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.services.scores import checked_results, risk_of_findings, score_problem

SCORES = st.floats(0, 1)


@given(SCORES)
def test_numbers_from_0_to_1_are_scores(value: float) -> None:
    assert score_problem(value) is None


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf, -math.inf, "0.5", None, True, [0.5], 10**400])
def test_everything_else_is_none(value: object) -> None:
    assert score_problem(value) is not None


@pytest.mark.parametrize(
    ("findings", "risk"),
    [
        (None, None),
        ({}, None),
        ("device", None),
        ({"device": None}, None),
        ({"device": {"risk_score": 0.4}}, 0.4),
        ({"device": {"risk_score": 0.2}, "network": {"risk_score": 0.6}}, 0.4),
        ({"device": {"risk_score": 0.2, "confidence": 0.5}, "network": {"risk_score": 0.8}}, 0.6),
        ({"device": {"risk_score": 7}, "network": {"risk_score": 0.5}}, 0.5),
        ({"device": {"risk_score": math.nan}, "network": {"confidence": 1}}, None),
        ({"device": {"risk_score": 0.5, "confidence": 0}}, None),
        ({"device": {"risk_score": 0.5, "confidence": "high"}}, 0.5),
    ],
)
def test_the_risk_is_the_weighted_mean_of_valid_scores(findings: object, risk: float | None) -> None:
    assert risk_of_findings(findings) == (None if risk is None else pytest.approx(risk))


@given(st.dictionaries(st.text(min_size=1), st.fixed_dictionaries({"risk_score": SCORES, "confidence": SCORES})))
def test_the_risk_is_within_the_scores_that_make_it(findings: dict[str, dict[str, float]]) -> None:
    risk = risk_of_findings(findings)
    if risk is not None:
        scores = [finding["risk_score"] for finding in findings.values()]
        assert min(scores) - 1e-9 <= risk <= max(scores) + 1e-9


def test_a_given_risk_stays_and_wrong_ones_are_named() -> None:
    findings = {"device": {"risk_score": 0.9}}
    assert checked_results({"risk_score": 0.1, "domain_findings": findings}).risk_score == 0.1
    assert checked_results({"domain_findings": findings}).risk_score == 0.9
    with pytest.raises(InvalidInput, match=r"results\.risk_score: .*not within"):
        checked_results({"risk_score": 2})
    with pytest.raises(InvalidInput, match=r"domain_findings\.device\.confidence"):
        checked_results({"domain_findings": {"device": {"risk_score": 0.5, "confidence": 3}}})
    with pytest.raises(InvalidInput, match=r"results\.unknown"):
        checked_results({"unknown": 1})


def test_wrong_transactions_are_named_up_to_ten() -> None:
    with pytest.raises(InvalidInput, match="and 2 more") as refused:
        checked_results({"transaction_scores": {f"t{number}": 2 for number in range(12)}})
    assert "'t0'" in str(refused.value)
    with pytest.raises(InvalidInput, match="must map"):
        checked_results({"transaction_scores": [0.5]})
