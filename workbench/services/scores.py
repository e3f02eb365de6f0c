"""Scores of an investigation: what is valid, and the risk that follows from the domains' findings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from workbench.errors import InvalidInput
from workbench.models.investigations import Results

MAX_NAMED = 10
"""Wrong transactions that an error names; it says how many there are."""


def score_problem(value: object) -> str | None:
    """Why a value is no score, or None: a score is a finite number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{type(value).__name__} is no number"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    return None if 0 <= value <= 1 else "is not within 0 and 1"


def risk_of_findings(findings: object) -> float | None:
    """The mean of the domains' valid risk scores, weighted by confidence where one is given (else 1).

    None if no domain has a valid score, or all of those that have carry no confidence at all (0).
    """
    if not isinstance(findings, Mapping):
        return None
    weighted: list[tuple[float, float]] = []
    for finding in findings.values():
        if not isinstance(finding, Mapping) or score_problem(finding.get("risk_score")):
            continue
        confidence = finding.get("confidence")
        weight = 1.0 if confidence is None or score_problem(confidence) else float(confidence)
        weighted.append((weight, float(finding["risk_score"])))
    heaviest = max((weight for weight, _ in weighted), default=0.0)
    if heaviest == 0:
        return None
    # Relative to the heaviest, so that tiny confidences do not round to nothing.
    total = sum(weight / heaviest for weight, _ in weighted)
    return sum(weight / heaviest * score for weight, score in weighted) / total


def checked_results(results: Mapping[str, Any]) -> Results:
    """The results as their model, with the risk score taken from the findings where it is missing.

    Raises:
        InvalidInput: the risk score, a transaction's score or a finding is not valid; it names the transactions.
    """
    values = dict(results)
    if values.get("risk_score") is None:
        values["risk_score"] = risk_of_findings(values.get("domain_findings"))
    elif problem := score_problem(values["risk_score"]):
        raise InvalidInput("results.risk_score", problem)
    if values.get("transaction_scores") is not None:
        _check_transactions(values["transaction_scores"])
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInput("results." + ".".join(map(str, first["loc"])), first["msg"]) from None


def _check_transactions(scores: object) -> None:
    field = "results.transaction_scores"
    if not isinstance(scores, Mapping):
        raise InvalidInput(field, "must map transactions to scores")
    problems = []
    for transaction, score in scores.items():
        if not isinstance(transaction, str) or not transaction.strip():
            problems.append(f"{transaction!r}: no transaction id")
        elif problem := score_problem(score):
            problems.append(f"{transaction!r}: {problem}")
    if problems:
        more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise InvalidInput(field, "; ".join(problems[:MAX_NAMED]) + more)
