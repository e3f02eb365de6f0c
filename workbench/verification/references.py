"""Level 4, between collections: references that lead nowhere, and audit histories with gaps in their versions.

The source is not free of either (most references were never foreign keys there), so both sides are counted, each by
its own database, and what has to be equal is how often each value that leads nowhere occurs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from pymongo.database import Database

from workbench.migration.tables import TABLES
from workbench.verification.findings import Check, Findings
from workbench.verification.measures import without

EXAMPLES = 5


@dataclass(frozen=True)
class Reference:
    """A field whose value is the key of a document in another collection."""

    table: str
    column: str
    collection: str
    path: str
    to_table: str
    to_column: str
    to_collection: str
    to_path: str


REFERENCES: tuple[Reference, ...] = (
    Reference("detection_runs", "detector_id", "detection_runs", "metadata.detector_id",
              "detectors", "id", "detectors", "detector_id"),
    Reference("anomaly_events", "run_id", "anomaly_events", "run_id",
              "detection_runs", "id", "detection_runs", "run_id"),
    Reference("anomaly_events", "detector_id", "anomaly_events", "detector_id",
              "detectors", "id", "detectors", "detector_id"),
    Reference("anomaly_events", "investigation_id", "anomaly_events", "investigation_id",
              "investigation_states", "investigation_id", "investigations", "investigation_id"),
    Reference("transaction_scores", "investigation_id", "transaction_scores", "investigation_id",
              "investigation_states", "investigation_id", "investigations", "investigation_id"),
    Reference("investigation_audit_log", "investigation_id", "audit_log", "metadata.investigation_id",
              "investigation_states", "investigation_id", "investigations", "investigation_id"),
    Reference("soar_playbook_executions", "investigation_id", "soar_playbook_executions", "investigation_id",
              "investigation_states", "investigation_id", "investigations", "investigation_id"),
    Reference("soar_playbook_executions", "anomaly_id", "soar_playbook_executions", "anomaly_id",
              "anomaly_events", "id", "anomaly_events", "anomaly_id"),
    Reference("composio_action_audits", "connection_id", "composio_action_audits", "connection_id",
              "composio_connections", "connection_id", "composio_connections", "composio_connection_id"),
)  # fmt: skip
"""Every reference that the platform follows."""


class ValueCounts:
    """How often each value of a field occurs in the target, asked once for each field that references use.

    Memory: about 150 bytes a different value; these are keys of the tables that others refer to, not rows.
    """

    def __init__(self, database: Database[Any]) -> None:
        self._database = database
        self._found: dict[tuple[str, str], tuple[Counter[str], int]] = {}
        ends = (
            [(one.collection, one.path) for one in REFERENCES],
            [(one.to_collection, one.to_path) for one in REFERENCES],
        )
        self._used = frozenset(ends[0] + ends[1])

    def of(self, collection: str, path: str) -> Counter[str]:
        """Value as text -> how often; `distinct` itself is capped at 16 MB and refused on time series."""
        return self._ask(collection, path)[0]

    def distinct(self, collection: str, path: str) -> int | None:
        """The number of different values; None if no reference uses the field, so that nobody needs its values."""
        return self._ask(collection, path)[1] if (collection, path) in self._used else None

    def _ask(self, collection: str, path: str) -> tuple[Counter[str], int]:
        name = (collection, path)
        if name not in self._found:
            counts, groups = Counter[str](), 0
            stages: list[dict[str, Any]] = [
                {"$group": {"_id": f"${path}", "n": {"$sum": 1}}},
                {"$match": {"_id": {"$ne": None}}},
            ]
            for group in self._database[collection].aggregate(stages, allowDiskUse=True, batchSize=10_000):
                counts[str(group["_id"])] += group["n"]
                groups += 1
            self._found[name] = counts, groups
        return self._found[name]


def compare_references(
    source: psycopg.Connection[Any],
    values: ValueCounts,
    table: str,
    excluded: Mapping[str, Sequence[Sequence[str]]],
    findings: Findings,
) -> int:
    """Compare the dangling references of a table; how many references were looked at.

    Args:
        excluded: table -> keys of its rows in quarantine. They are not in the target, and what refers to one dangles.
    """
    references = [reference for reference in REFERENCES if reference.table == table]
    for reference in references:
        expected = _dangling_in_source(source, reference, excluded)
        found = _dangling_in_target(values, reference)
        for cause, odd in (
            (f"values of {reference.path} lead to no document of {reference.to_collection}", found - expected),
            (f"values of {reference.path} should lead to no document, as in the source", expected - found),
        ):
            if odd:
                findings.add(
                    Check.REFERENCES,
                    cause,
                    field=reference.path,
                    expected="as often as in the source",
                    found=", ".join(f"{value} ({count:+,})" for value, count in sorted(odd.items())[:EXAMPLES]),
                    count=odd.total(),
                )
    return len(references)


def _dangling_in_source(
    connection: psycopg.Connection[Any], reference: Reference, excluded: Mapping[str, Sequence[Sequence[str]]]
) -> Counter[str]:
    """Values that refer to no row outside quarantine, and how many rows outside quarantine do so."""
    ours, our_keys = without("t", TABLES[reference.table].key, excluded.get(reference.table, ()))
    theirs, their_keys = without("o", TABLES[reference.to_table].key, excluded.get(reference.to_table, ()))
    query = sql.SQL(
        "SELECT t.{column}::text, count(*) FROM {table} AS t WHERE t.{column} IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM {to_table} AS o WHERE o.{to_column} = t.{column} AND {theirs}) AND {ours} GROUP BY 1"
    ).format(
        column=sql.Identifier(reference.column),
        table=sql.Identifier(reference.table),
        to_table=sql.Identifier(reference.to_table),
        to_column=sql.Identifier(reference.to_column),
        theirs=sql.SQL(theirs),
        ours=sql.SQL(ours),
    )
    found: dict[str, int] = dict(connection.execute(query, [*their_keys, *our_keys]).fetchall())
    return Counter(found)


def _dangling_in_target(values: ValueCounts, reference: Reference) -> Counter[str]:
    """Values that no document has; the different values are joined, not the documents, which are many more."""
    there = values.of(reference.to_collection, reference.to_path)
    found = values.of(reference.collection, reference.path)
    return Counter({value: count for value, count in found.items() if value not in there})


def compare_versions(
    source: psycopg.Connection[Any], database: Database[Any], excluded: Sequence[Sequence[str]], findings: Findings
) -> int:
    """Compare the histories of investigations whose versions have gaps or repeats; how many histories there are.

    A history is continuous if the versions that its entries lead to are those from its first to its last, once each.

    Args:
        excluded: keys of the entries in quarantine, which may leave gaps.
    """
    rows = source.execute(
        "SELECT investigation_id, count(to_version), count(DISTINCT to_version), min(to_version), max(to_version)"
        " FROM investigation_audit_log WHERE entry_id <> ALL(%s) GROUP BY 1",
        [[key[0] for key in excluded]],
    ).fetchall()
    expected = {row[0] for row in rows if not _continuous(*row[1:])}
    groups = database["audit_log"].aggregate(
        [
            {"$match": {"to_version": {"$ne": None}}},
            {"$group": {"_id": {"i": "$metadata.investigation_id", "v": "$to_version"}, "n": {"$sum": 1}}},
            {
                "$group": {
                    "_id": "$_id.i",
                    "entries": {"$sum": "$n"},
                    "versions": {"$sum": 1},
                    "first": {"$min": "$_id.v"},
                    "last": {"$max": "$_id.v"},
                }
            },
        ],
        allowDiskUse=True,
    )
    broken = {
        group["_id"]
        for group in groups
        if not _continuous(group["entries"], group["versions"], group["first"], group["last"])
    }
    for investigation in sorted(broken - expected, key=str):
        findings.add(
            Check.REFERENCES,
            "histories have gaps or repeats in their versions that the source does not have",
            key=str(investigation),
            field="to_version",
            expected="each version once",
            found="a gap or a repeat",
        )
    return len(rows)


def _continuous(entries: int, versions: int, first: Any, last: Any) -> bool:
    if first is None or last is None:
        return True
    return isinstance(first, int) and isinstance(last, int) and entries == versions == last - first + 1
