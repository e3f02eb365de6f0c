"""The parts of a dossier from documents of any shape."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.explorer.dossier import _evidence, _scores_of_results


def test_scores_that_only_the_investigation_holds_are_shown() -> None:
    found = {"results": {"transaction_scores": {"t-1": 0.2, "t-2": 1.0, "t-3": 0.99}}}
    bins, top = _scores_of_results(found)
    assert {row["_id"]: row["transactions"] for row in bins} == {4: 1, 19: 2}
    assert [row["transaction_id"] for row in top] == ["t-2", "t-3", "t-1"]
    assert _scores_of_results({"results": None}) == ([], [])


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
