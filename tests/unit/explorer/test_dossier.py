"""The parts of a dossier from documents of any shape."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.explorer.dossier import Dossier, _evidence, _scores_of_results
from workbench.explorer.question import Question
from workbench.models.audit_log import COLLECTION


def test_scores_that_only_the_investigation_holds_are_shown() -> None:
    found = {"results": {"transaction_scores": {"t-1": 0.2, "t-2": 1.0, "t-3": 0.99, "t-4": None}}}
    bins, top = _scores_of_results(found)
    assert {row["_id"]: row["transactions"] for row in bins} == {4: 1, 19: 2}
    assert [row["transaction_id"] for row in top] == ["t-2", "t-3", "t-1"]
    assert _scores_of_results({"results": None}) == ([], [])


def test_versions_before_a_history_that_was_cut_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = tuple({"to_version": version} for version in (9, 8, 6))
    question = Question(COLLECTION, ("acme",))
    dossier = Dossier("case", {"version": 10}, entries, (), (), question)
    assert dossier.missing_versions == (1, 2, 3, 4, 5, 7, 10)
    monkeypatch.setattr("workbench.explorer.dossier.MAX_ENTRIES", 3)
    assert dossier.missing_versions == (7, 10)


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        ("one text", "one text"),
        (7, "7"),
        (0, "0"),
        (False, "false"),
        (None, "null"),
        (["a", None, {"b": 1}], 'a; null; {"b": 1}'),
        ({"ip": ["x"]}, '{"ip": ["x"]}'),
        ([], ""),
    ],
)
def test_evidence_of_any_shape_is_shown(evidence: Any, shown: str) -> None:
    assert _evidence(evidence) == shown
