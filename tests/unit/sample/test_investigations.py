"""Investigations, their histories and their scores agree with each other."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

import pytest

from workbench.sample.ddl import COLUMNS
from workbench.sample.investigations import INVESTIGATIONS_IN_BLOCK, audit_rows, score_rows, state_rows
from workbench.sample.plan import SamplePlan
from workbench.sample.values import Row

PLAN = SamplePlan(scale=1, seed=42)


def as_dicts(table: str, blocks: Iterator[list[Row]]) -> list[dict[str, str | None]]:
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in chain.from_iterable(blocks)]


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, str | None]]:
    return {str(row["investigation_id"]): row for row in as_dicts("investigation_states", state_rows(PLAN))}


@pytest.fixture(scope="module")
def histories() -> dict[str, list[dict[str, str | None]]]:
    found: dict[str, list[dict[str, str | None]]] = defaultdict(list)
    for row in as_dicts("investigation_audit_log", audit_rows(PLAN)):
        found[str(row["investigation_id"])].append(row)
    return found


def test_every_stage_and_status_occurs(states: dict[str, dict[str, str | None]]) -> None:
    assert len(states) == PLAN.investigations
    assert {row["lifecycle_stage"] for row in states.values()} == {"CREATED", "SETTINGS", "IN_PROGRESS", "COMPLETED"}
    assert {row["status"] for row in states.values()} > {"ERROR", "CANCELLED", "COMPLETED"}


def test_json_is_an_object_an_empty_text_or_null(states: dict[str, dict[str, str | None]]) -> None:
    empty = set()
    for row in states.values():
        for field in ("settings_json", "progress_json"):
            text = row[field]
            if text:
                assert isinstance(json.loads(text), dict)
            else:
                empty.add(text)
    assert empty == {"", None}


def test_histories_have_one_entry_a_version_and_end_in_the_state(
    states: dict[str, dict[str, str | None]], histories: dict[str, list[dict[str, str | None]]]
) -> None:
    assert histories.keys() == states.keys()
    for key, entries in histories.items():
        state, first, last = states[key], entries[0], entries[-1]
        assert [int(entry["to_version"] or 0) for entry in entries] == list(range(1, int(state["version"] or 0) + 1))
        assert first["action_type"] == "CREATED"
        assert first["from_version"] in (None, "0")
        assert all(int(entry["from_version"] or -1) == number for number, entry in enumerate(entries[1:], start=1))
        assert (first["timestamp"], last["timestamp"]) == (state["created_at"], state["updated_at"])
        assert [entry["timestamp"] for entry in entries] == sorted(str(entry["timestamp"]) for entry in entries)
        snapshot = json.loads(last["state_snapshot_json"] or "")
        assert (snapshot["status"], snapshot["lifecycle_stage"]) == (state["status"], state["lifecycle_stage"])
        progress = json.loads(state["progress_json"] or "{}")
        assert snapshot["progress_percentage"] == progress.get("progress_percentage", 0)
        assert {entry["user_id"] for entry in entries} == {state["user_id"]}


def test_changes_name_old_and_new_values(histories: dict[str, list[dict[str, str | None]]]) -> None:
    for entries in histories.values():
        old = None
        for entry in entries:
            change = json.loads(entry["changes_json"] or "")
            if "status" in change:
                assert change["status"]["old"] == old
                old = change["status"]["new"]


def test_scores_belong_to_investigations_and_agree_with_their_progress(
    states: dict[str, dict[str, str | None]],
) -> None:
    scores = {
        (row["investigation_id"], row["transaction_id"]): row
        for row in as_dicts("transaction_scores", score_rows(PLAN))
    }
    assert len(scores) == sum(len(block) for block in score_rows(PLAN)), "a key occurs twice"
    assert {key for key, _ in scores} <= states.keys()
    assert all(0 <= float(row["risk_score"] or -1) <= 1 for row in scores.values())
    compared = 0
    for key, state in states.items():
        for transaction, score in json.loads(state["progress_json"] or "{}").get("transaction_scores", {}).items():
            assert float(scores[key, transaction]["risk_score"] or -1) == score
            compared += 1
    assert compared > 1_000
    for (key, _), row in scores.items():
        created, updated = states[str(key)]["created_at"], states[str(key)]["updated_at"]
        assert str(created) <= str(row["created_at"]) <= str(updated)


def test_blocks_do_not_grow_with_the_scale() -> None:
    small = max(len(block) for block in state_rows(PLAN))
    large = max(len(next(state_rows(SamplePlan(scale, 42)))) for scale in (10, 1000))
    assert small == large == INVESTIGATIONS_IN_BLOCK
    assert len(next(score_rows(SamplePlan(1000, 42)))) < 30_000
