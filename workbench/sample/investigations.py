"""Investigations with their audit history and transaction scores: three tables that never contradict each other.

All three are made from the same `Histories` of a range of investigations, computed anew for each table, so that
nothing has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.sample.plan import SamplePlan
from workbench.sample.values import (
    DAY,
    HISTORY_US,
    HOUR,
    REFERENCE_US,
    Ints,
    Row,
    dumps,
    fraud_scores,
    hashes,
    picks,
    timestamps,
    uniforms,
)

INVESTIGATIONS_IN_BLOCK = 400

# (status, lifecycle stage): an ERROR or CANCELLED investigation stays in the stage where it ended.
_OUTCOMES = (
    ("CREATED", "CREATED"),
    ("SETTINGS", "SETTINGS"),
    ("IN_PROGRESS", "IN_PROGRESS"),
    ("COMPLETED", "COMPLETED"),
    ("ERROR", "IN_PROGRESS"),
    ("CANCELLED", "IN_PROGRESS"),
    ("CANCELLED", "SETTINGS"),
)
_CREATED, _SETTINGS, _IN_PROGRESS, _COMPLETED, _ERROR, _CANCELLED, _CANCELLED_EARLY = range(len(_OUTCOMES))
_SHARES_OF_OLD = np.cumsum([0.02, 0.04, 0.06, 0.74, 0.06, 0.05, 0.03])
_SHARES_OF_RECENT = np.cumsum([0.15, 0.17, 0.45, 0.15, 0.03, 0.03, 0.02])
_MAX_TRANSACTIONS = 5_000
_TRANSACTIONS_IN_PROGRESS = 5

_ENTITY_TYPES = ("user_id", "device_id", "ip", "card_fingerprint", "merchant_name", "email")
_TOOLS = ("snowflake_query", "splunk_search", "device_graph", "geo_velocity", "sumologic_query", "osint_lookup")
_DOMAINS = ("network", "device", "location", "logs", "merchant", "authentication")
_EVIDENCE = (
    "login from a new ASN minutes before the purchase",
    "device fingerprint shared by 14 accounts",
    "São Paulo → Kyïv in 41 minutes",
    "three declined authorisations, then a smaller approved one",
    "billing and shipping country differ",
    "no anomaly in 90 days of history",
)
_SOURCES = ("UI", "API", "SYSTEM", "WEBHOOK", "POLLING")


@dataclass(frozen=True)
class Histories:
    """What happened to a range of investigations: arrays with one number an investigation, but for `times`.

    `times` has one number an audit entry (microseconds since 1970), those of investigation k from `first[k]` on.
    """

    index: Ints
    outcome: Ints
    settings_changes: Ints
    updates: Ints
    version: Ints
    first: Ints
    times: Ints
    transactions: Ints

    def percentage(self, position: int, updates: int) -> int:
        """Progress after so many updates of investigation number `position` of the range."""
        return 100 * updates // (int(self.updates[position]) + 1)


def histories(plan: SamplePlan, start: int) -> Histories:
    """The histories of the block of investigations that begins with number `start`."""
    index = np.arange(start, min(start + INVESTIGATIONS_IN_BLOCK, plan.investigations), dtype=np.int64)
    seed = plan.seed
    luck = uniforms(seed, "outcome", index)
    recent = index >= 0.92 * plan.investigations
    outcome = np.where(recent, np.searchsorted(_SHARES_OF_RECENT, luck), np.searchsorted(_SHARES_OF_OLD, luck))
    outcome = np.minimum(outcome, len(_OUTCOMES) - 1)
    has_settings = outcome != _CREATED
    has_progress = ~np.isin(outcome, (_CREATED, _SETTINGS, _CANCELLED_EARLY))
    has_end = np.isin(outcome, (_COMPLETED, _ERROR, _CANCELLED, _CANCELLED_EARLY))
    settings_changes = has_settings * picks(seed, "settings changes", index, 3)
    updates = has_progress * (1 + picks(seed, "updates", index, 6))
    version = 1 + has_settings + settings_changes + has_progress + updates + has_end

    created = REFERENCE_US - HISTORY_US + (index * (HISTORY_US - 8 * DAY)) // plan.investigations
    created += picks(seed, "created", index, DAY)
    first = np.cumsum(version) - version
    owner = np.repeat(np.arange(len(index)), version)
    number = np.arange(int(version.sum())) - first[owner]
    steps = (-np.log1p(-uniforms(seed, "steps", index[owner] * 64 + number)) * 2 * HOUR).astype(np.int64)
    steps = np.where(number == 0, 0, np.minimum(steps, 10 * HOUR) + 137)
    elapsed = np.cumsum(steps)
    times = created[owner] + elapsed - elapsed[first][owner]

    normal = uniforms(seed, "size a", index) + uniforms(seed, "size b", index) + uniforms(seed, "size c", index)
    size = np.exp(3.15 + 1.8 * (normal - 1.5)).astype(np.int64)
    return Histories(
        index=index,
        outcome=outcome,
        settings_changes=settings_changes,
        updates=updates,
        version=version,
        first=first,
        times=times,
        transactions=np.where(has_progress, np.clip(size, 1, _MAX_TRANSACTIONS), 0),
    )


def transaction_ids(plan: SamplePlan, index: Ints, number: Ints) -> list[str]:
    """The identifier of transaction `number` of investigation `index`, for each pair; ascending in an investigation."""
    start = hashes(plan.seed, "transaction", index) >> np.uint64(20)
    gap = hashes(plan.seed, "gap", index) % np.uint64(9_000) + np.uint64(1_000)
    numbers = start + gap * number.astype(np.uint64)
    return [f"txn_{number:015d}" for number in numbers.tolist()]


def risk_scores(plan: SamplePlan, index: Ints, number: Ints) -> list[float]:
    """The score of transaction `number` of investigation `index`, for each pair."""
    scores: list[float] = fraud_scores(plan.seed, "transaction score", index * _MAX_TRANSACTIONS + number).tolist()
    return scores


def score_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `transaction_scores`."""
    for start in range(0, plan.investigations, INVESTIGATIONS_IN_BLOCK):
        known = histories(plan, start)
        owner = np.repeat(np.arange(len(known.index)), known.transactions)
        first = np.cumsum(known.transactions) - known.transactions
        number = np.arange(len(owner)) - first[owner]
        index = known.index[owner]
        ids = plan.investigation_ids(known.index)
        began = known.times[known.first][owner]
        ended = known.times[known.first + known.version - 1][owner]
        created = began + ((ended - began) * uniforms(plan.seed, "scored", index * _MAX_TRANSACTIONS + number)).astype(
            np.int64
        )
        yield list(
            zip(
                [ids[position] for position in owner.tolist()],
                transaction_ids(plan, index, number),
                map(repr, risk_scores(plan, index, number)),
                timestamps(created),
                strict=True,
            )
        )


def state_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `investigation_states`."""
    for start in range(0, plan.investigations, INVESTIGATIONS_IN_BLOCK):
        known = histories(plan, start)
        began, last = known.times[known.first], known.times[known.first + known.version - 1]
        accessed = np.minimum(last + picks(plan.seed, "accessed", known.index, 6 * DAY), REFERENCE_US)
        unread = uniforms(plan.seed, "never accessed", known.index) < 0.1
        yield [
            (
                investigation_id,
                user_id,
                _OUTCOMES[outcome][1],
                settings,
                progress,
                _OUTCOMES[outcome][0],
                str(version),
                created_at,
                updated_at,
                None if never else last_accessed,
            )
            for (
                investigation_id, user_id, outcome, settings, progress, version, created_at, updated_at,
                last_accessed, never,
            ) in zip(
                plan.investigation_ids(known.index),
                plan.user_ids("investigation user", known.index),
                known.outcome.tolist(),
                _settings_texts(plan, known, began),
                _progress_texts(plan, known),
                known.version.tolist(),
                timestamps(began),
                timestamps(last),
                timestamps(accessed),
                unread.tolist(),
                strict=True,
            )
        ]  # fmt: skip


def _settings_texts(plan: SamplePlan, known: Histories, began: Ints) -> Iterator[str | None]:
    facts = hashes(plan.seed, "settings", known.index)
    begins = timestamps(began - (1 + (facts % np.uint64(90)).astype(np.int64)) * DAY)
    for number, outcome, bits, begin, end in zip(
        known.index.tolist(), known.outcome.tolist(), facts.tolist(), begins, timestamps(began), strict=True
    ):
        if outcome == _CREATED:
            yield "" if number % 3 == 0 else None
            continue
        kind = _ENTITY_TYPES[bits % 6]
        settings: dict[str, object] = {
            "name": f"Review of {kind} №{number}",
            "entity": f"{kind}:{bits >> 40:x}",
            "entity_type": kind,
            "time_range": {"start_time": begin + "Z", "end_time": end + "Z"},
            "tools": [tool for place, tool in enumerate(_TOOLS) if bits >> (8 + place) & 1] or [_TOOLS[0]],
            "correlation_mode": "OR" if bits & 64 else "AND",
            "risk_threshold": (bits >> 20) % 1000 / 1000,
            "auto_select_entities": bool(bits & 128),
        }
        if bits % 11 == 0:
            settings["comparison"] = {
                "window_a": {"days": 14, "offset_months": 6},
                "window_b": {"days": 14, "offset_months": 0},
                "metrics": ["precision", "recall", "f1"],
            }
        yield dumps(settings)


def _progress_texts(plan: SamplePlan, known: Histories) -> Iterator[str | None]:
    shown = np.minimum(known.transactions, _TRANSACTIONS_IN_PROGRESS)
    first = np.cumsum(shown) - shown
    index = np.repeat(known.index, shown)
    number = np.arange(len(index)) - np.repeat(first, shown)
    ids, risks = transaction_ids(plan, index, number), risk_scores(plan, index, number)
    facts = hashes(plan.seed, "progress", known.index).tolist()
    for position, (bits, outcome, low) in enumerate(zip(facts, known.outcome.tolist(), first.tolist(), strict=True)):
        updates = int(known.updates[position])
        if outcome == _CREATED:
            yield None if bits % 3 == 0 else ""
            continue
        if not updates:
            yield '{"current_phase":"settings","progress_percentage":0}'
            continue
        progress: dict[str, object] = {
            "current_phase": {_COMPLETED: "completed", _ERROR: "failed"}.get(outcome, "domain_analysis"),
            "progress_percentage": 100 if outcome == _COMPLETED else known.percentage(position, updates),
            "tool_executions": bits % 40,
        }
        if outcome == _COMPLETED or updates > 1:
            findings = _findings(bits)
            scores = [finding["risk_score"] for finding in findings.values()]
            high = low + int(shown[position])
            progress["risk_score"] = round(sum(scores) / len(scores), 6)
            progress["domain_findings"] = findings
            progress["transaction_scores"] = dict(zip(ids[low:high], risks[low:high], strict=True))
        yield dumps(progress)


def _findings(bits: int) -> dict[str, dict[str, Any]]:
    chosen = [place for place in range(6) if bits >> (8 + place) & 1] or [0]
    return {
        _DOMAINS[place]: {
            "risk_score": (bits >> (3 * place)) % 10_000 / 10_000,
            "confidence": (50 + (bits >> (16 + place)) % 50) / 100,
            "evidence": [_EVIDENCE[(bits >> place) % 6], _EVIDENCE[(bits >> (place + 9)) % 6]],
        }
        for place in chosen
    }


def audit_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `investigation_audit_log`: for each investigation one entry a version, from 1 to its own."""
    for start in range(0, plan.investigations, INVESTIGATIONS_IN_BLOCK):
        known = histories(plan, start)
        moments = timestamps(known.times)
        bits = hashes(plan.seed, "audit", known.index).tolist()
        ids = plan.investigation_ids(known.index)
        users = plan.user_ids("investigation user", known.index)
        block: list[Row] = []
        for position, first in enumerate(known.first.tolist()):
            block += _history(
                known,
                position,
                ids[position],
                users[position],
                bits[position],
                moments[first : first + int(known.version[position])],
            )
        yield block


def _history(
    known: Histories, position: int, investigation_id: str, user_id: str, bits: int, moments: list[str]
) -> Iterator[Row]:
    number = int(known.index[position])
    old_status, old_percentage = "null", 0
    for version, (action, status, percentage) in enumerate(_steps(known, position), start=1):
        if action == "SETTINGS_CHANGE":
            changes = f'{{"settings":{{"tools":{{"old":["{_TOOLS[version % 6]}"],"new":["{_TOOLS[bits % 6]}"]}}}}}}'
        elif action == "UPDATED":
            changes = f'{{"progress":{{"progress_percentage":{{"old":{old_percentage},"new":{percentage}}}}}}}'
        else:
            changes = f'{{"status":{{"old":{old_status},"new":"{status}"}}}}'
        old_status, old_percentage = f'"{status}"', percentage
        stage = _OUTCOMES[int(known.outcome[position])][1] if status in ("ERROR", "CANCELLED") else status
        yield (
            f"log-{number:08x}-{version:04d}-{(bits >> 7) + version & 0xFFFFFF:06x}",
            investigation_id,
            user_id,
            action,
            changes,
            f'{{"investigation_id":"{investigation_id}","status":"{status}","lifecycle_stage":"{stage}",'
            f'"version":{version},"progress_percentage":{percentage}}}',
            _SOURCES[(bits >> version) % 5],
            # Older releases wrote no version before the first, newer ones write 0.
            str(version - 1) if version > 1 or bits & 1 else None,
            str(version),
            moments[version - 1],
        )


def _steps(known: Histories, position: int) -> Iterator[tuple[str, str, int]]:
    """Each change of an investigation in order: action, status and progress percentage after it."""
    outcome, updates = int(known.outcome[position]), int(known.updates[position])
    yield "CREATED", "CREATED", 0
    if outcome == _CREATED:
        return
    yield "STATE_CHANGE", "SETTINGS", 0
    for _ in range(int(known.settings_changes[position])):
        yield "SETTINGS_CHANGE", "SETTINGS", 0
    if updates:
        yield "STATE_CHANGE", "IN_PROGRESS", 0
    for update in range(1, updates + 1):
        yield "UPDATED", "IN_PROGRESS", known.percentage(position, update)
    status = _OUTCOMES[outcome][0]
    if status in ("COMPLETED", "ERROR", "CANCELLED"):
        yield "STATE_CHANGE", status, 100 if outcome == _COMPLETED else known.percentage(position, updates)
