"""Lint of a completed investigation: required fields, scores in range, an audit without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.models.audit_log import ActionType, AuditEntry
from workbench.models.document import bson_value
from workbench.models.investigations import Investigation, InvestigationStatus
from workbench.services.scores import score_problem

REQUIRED = ("settings", "progress", "results", "results.risk_score")
_FULL_PERCENTAGE = 100


@dataclass(frozen=True)
class LintFinding:
    """One rule that the investigation breaks."""

    rule: str
    field: str
    message: str


def lint(investigation: Investigation, entries: Iterable[AuditEntry]) -> tuple[LintFinding, ...]:
    """What is wrong with an investigation and its history (newest first, as the service gives it)."""
    state = bson_value(investigation)
    return (*_required(state), *_scores(state), *_progress(investigation), *_gaps(investigation, entries))


def _required(state: Mapping[str, Any]) -> Iterable[LintFinding]:
    for path in REQUIRED:
        value: Any = state
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value in (None, {}):
            yield LintFinding("required", path, "is missing")


def _scores(state: Mapping[str, Any]) -> Iterable[LintFinding]:
    results = state.get("results") or {}
    scores = {"results.risk_score": results.get("risk_score")}
    for domain, finding in (results.get("domain_findings") or {}).items():
        for name in ("risk_score", "confidence"):
            scores[f"results.domain_findings.{domain}.{name}"] = finding.get(name)
    for transaction, score in (results.get("transaction_scores") or {}).items():
        scores[f"results.transaction_scores.{transaction}"] = score
    for path, score in scores.items():
        problem = None if score is None else score_problem(score)
        if problem:
            yield LintFinding("score", path, problem)


def _progress(investigation: Investigation) -> Iterable[LintFinding]:
    done = investigation.progress.progress_percentage if investigation.progress else None
    if investigation.status == InvestigationStatus.COMPLETED and done not in (None, _FULL_PERCENTAGE):
        yield LintFinding("progress", "progress.progress_percentage", f"is {done:g} though the status is COMPLETED")


def _gaps(investigation: Investigation, entries: Iterable[AuditEntry]) -> Iterable[LintFinding]:
    seen: set[int] = set()
    for entry in entries:
        if entry.to_version is not None:
            seen.add(entry.to_version)
        if entry.metadata.action_type == ActionType.CREATED:
            break  # older entries are of an earlier investigation with this id
    missing = sorted(set(range(1, investigation.version + 1)) - seen)
    if missing:
        named = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        yield LintFinding("audit", "version", f"{len(missing)} versions have no audit entry: {named}")
