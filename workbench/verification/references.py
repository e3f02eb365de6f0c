"""Level 4, between collections: references that lead nowhere, and audit histories with gaps in their versions.

The source is not free of either (most references were never foreign keys there), so both sides are counted, each by
its own database, and what has to be equal is the count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from pymongo.database import Database

from workbench.verification.findings import Check, Findings

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
)  # fmt: skip
"""Every reference that the platform follows."""


def compare_references(
    source: psycopg.Connection[Any],
    database: Database[Any],
    table: str,
    excluded: Mapping[str, Sequence[Sequence[str]]],
    findings: Findings,
) -> int:
    """Compare the dangling references of a table; how many references were looked at.

    Args:
        excluded: table -> keys of its rows in quarantine. A row that refers to one dangles in the target.
    """
    references = [reference for reference in REFERENCES if reference.table == table]
    for reference in references:
        expected = _dangling_in_source(source, reference, excluded)
        found = _dangling_in_target(database, reference)
        odd = sorted(found - expected)
        if odd:
            findings.add(
                Check.REFERENCES,
                f"values of {reference.path} lead to no document of {reference.to_collection}",
                field=reference.path,
                expected="a document",
                found=", ".join(odd[:EXAMPLES]),
                count=len(odd),
            )
    return len(references)


def _dangling_in_source(
    connection: psycopg.Connection[Any], reference: Reference, excluded: Mapping[str, Sequence[Sequence[str]]]
) -> set[str]:
    """Values that refer to no row, or to a row in quarantine."""
    query = sql.SQL(
        "SELECT DISTINCT t.{column}::text FROM {table} AS t WHERE t.{column} IS NOT NULL AND (NOT EXISTS"
        " (SELECT FROM {to_table} AS o WHERE o.{to_column} = t.{column}) OR t.{column}::text = ANY(%s))"
    ).format(
        column=sql.Identifier(reference.column),
        table=sql.Identifier(reference.table),
        to_table=sql.Identifier(reference.to_table),
        to_column=sql.Identifier(reference.to_column),
    )
    quarantined = [key[0] for key in excluded.get(reference.to_table, ())]
    return {value for (value,) in connection.execute(query, [quarantined])}


def _dangling_in_target(database: Database[Any], reference: Reference) -> set[str]:
    """Values that no document has; the different values are joined, not the documents, which are many more."""
    values = _distinct(database, reference.collection, reference.path)
    return values - _distinct(database, reference.to_collection, reference.to_path)


def _distinct(database: Database[Any], collection: str, path: str) -> set[str]:
    """The different values of a field, as text; `distinct` itself is capped at 16 MB and refused on time series."""
    groups = database[collection].aggregate(
        [{"$group": {"_id": f"${path}"}}, {"$match": {"_id": {"$ne": None}}}], allowDiskUse=True, batchSize=10_000
    )
    return {str(group["_id"]) for group in groups}


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
