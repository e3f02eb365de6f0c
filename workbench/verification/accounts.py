"""Level 5: the ledger and the quarantine of the migration, added up again and held against both databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from workbench.migration.ledger import LEDGER, RUNS, Counts, State
from workbench.migration.quarantine import COLLECTION as QUARANTINE
from workbench.migration.quarantine import UNLOADED
from workbench.verification.findings import Check, Findings

SHOWN = 5


@dataclass(frozen=True)
class Excluded:
    """The rows of a table that stay out of the target: their `_id`s, and their keys as text."""

    ids: frozenset[bytes]
    keys: tuple[tuple[str, ...], ...]


def excluded_rows(database: Database[Any], table: str) -> Excluded:
    """The rows in quarantine that were not loaded since. Memory: about 400 bytes a row, in each worker as well."""
    found = list(database[QUARANTINE].find({"table": table, "state": {"$in": list(UNLOADED)}}, {"key": 1}))
    return Excluded(frozenset(entry["_id"].binary for entry in found), tuple(tuple(entry["key"]) for entry in found))


def compare_accounts(
    database: Database[Any], table: str, *, rows: int | None, documents: int | None, findings: Findings
) -> tuple[int, str]:
    """Add up the ledger of a table; how many partitions it has, and a note if it has none.

    Args:
        rows: rows that the source has now, quarantined ones among them; None if they were not counted.
        documents: documents of the migration that the target has now; None if they were not counted.
    """
    total, partitions, open_partitions = Counts(), 0, []
    for partition in database[LEDGER].find({"table": table}):
        partitions += 1
        counts = Counts.of(partition.get("counts"))
        total += counts
        if partition.get("state") != State.DONE:
            open_partitions.append(partition)
        elif not counts.balanced:
            _unbalanced(findings, partition["_id"], counts)
    if not partitions:
        return 0, "no ledger: this target was not loaded by the migration"
    for partition in open_partitions[:SHOWN]:
        findings.add(
            Check.LEDGER, "partitions are not done", key=partition["_id"], expected="done",
            found=str(partition.get("state")), count=1,
        )  # fmt: skip
    quarantined = database[QUARANTINE].count_documents({"table": table, "state": {"$in": list(UNLOADED)}})
    sums: Mapping[str, tuple[int, int | None]] = {
        "rows read, against rows of the source": (total.read, rows),
        "rows quarantined, against the quarantine": (total.quarantined, quarantined),
        "documents written or there, against documents of the target": (
            total.written + total.already_there,
            documents,
        ),
    }
    for what, (expected, found) in sums.items():
        if found is not None and expected != found:
            findings.add(
                Check.LEDGER, f"sums do not agree: {what}", expected=f"{expected:,}", found=f"{found:,}", side="both"
            )
    return partitions, ""


def load_rate(database: Database[Any]) -> float:
    """Rows a second of a migration's load, without its planning and its indexes; 0 if none is known.

    Of the newest runs that one counts which wrote the most: repeating a run, or loading one small table, is no load.
    """
    most, rate = 0, 0.0
    for run in database[RUNS].find({"state": State.DONE.value}).sort("started_at", -1).limit(SHOWN):
        sums = {name: {"$sum": f"$counts.{name}"} for name in ("read", "inserted", "replaced")}
        stages: list[dict[str, Any]] = [{"$match": {"run_id": run["_id"]}}, {"$group": {"_id": None, **sums}}]
        seconds = run.get("load_seconds") or 0.0
        for found in database[LEDGER].aggregate(stages):
            written = found["inserted"] + found["replaced"]
            if seconds and written > most:
                most, rate = written, float(found["read"] / seconds)
    return rate


def _unbalanced(findings: Findings, partition: str, counts: Counts) -> None:
    accounted = counts.written + counts.already_there + counts.quarantined
    findings.add(
        Check.LEDGER,
        "partitions do not balance: read = written + already there + quarantined",
        key=partition,
        expected=f"{counts.read:,} read",
        found=f"{accounted:,} accounted for",
    )
