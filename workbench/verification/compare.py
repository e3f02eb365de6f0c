"""Levels 1 and 2: which rows and documents are missing, extra, doubled or different, and in which fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from workbench.verification.findings import Check, Findings
from workbench.verification.forms import Forms
from workbench.verification.scan import Row, SourcePart, TargetPart, source_rows, target_rows

ROWS_IN_MEMORY = 50_000
MAX_PASSES = 20
MAX_RANGES = 512


def examine(
    forms: Forms,
    source_parts: Sequence[SourcePart],
    target: TargetPart,
    groups: Sequence[frozenset[int]],
    findings: Findings,
    *,
    ranges_are_cheap: bool,
) -> tuple[int, str]:
    """Find what differs in some buckets by reading their rows and documents: a pass over both sides for each group.

    Args:
        source_parts: the source in parts, as it was read for the fingerprints.
        groups: the buckets, in groups that fit into memory (see `groups_of`).
        findings: receives the mismatches.
        ranges_are_cheap: the server finds a range of `_id` by an index.

    Returns:
        How many rows were compared, and a note where buckets were left unexamined because there were too many.
    """
    compared = 0
    for wanted in groups[:MAX_PASSES]:
        by_range = ranges_are_cheap and len(wanted) <= MAX_RANGES
        rows = (row for part in source_parts for row in source_rows(part, wanted))
        compared += _compare(forms, rows, target_rows(target, wanted, by_range=by_range), findings)
    left = sum(len(wanted) for wanted in groups[MAX_PASSES:])
    if not left:
        return compared, ""
    findings.add(Check.FIELDS, "buckets differ and were not examined: too many rows are wrong", count=left)
    note = f"{left:,} of {sum(map(len, groups)):,} differing buckets were not examined; counts are lower bounds"
    return compared, note


def groups_of(buckets: Sequence[int], rows_in: Callable[[int], float]) -> list[frozenset[int]]:
    """Buckets in groups of at most about `ROWS_IN_MEMORY` rows; `rows_in` says how many a bucket has on both sides."""
    groups: list[frozenset[int]] = []
    group: list[int] = []
    rows = 0.0
    for bucket in buckets:
        group.append(bucket)
        rows += rows_in(bucket)
        if rows >= ROWS_IN_MEMORY:
            groups.append(frozenset(group))
            group, rows = [], 0.0
    if group:
        groups.append(frozenset(group))
    return groups


def _compare(forms: Forms, rows: Iterable[Row], documents: Iterable[Row], findings: Findings) -> int:
    expected: dict[bytes, Row] = {}
    for row in rows:
        if row.id in expected:
            findings.add(
                Check.COUNTS, "rows share the key of another row", side="source", key=row.key, expected="one row"
            )
        expected[row.id] = row
    seen: set[bytes] = set()
    for document in documents:
        same = expected.get(document.id)
        if document.id in seen:
            _add_doubled(findings, document)
        elif same is None:
            _add_extra(forms, findings, document)
        else:
            compare_forms(forms, findings, same, document)
        seen.add(document.id)
    for row in expected.values():
        if row.id not in seen:
            add_missing(findings, row)
    return len(expected)


def add_missing(findings: Findings, row: Row) -> None:
    """Record a row that has no document."""
    findings.add(Check.COUNTS, "rows have no document", key=row.key, expected="a document", found="none")


def _add_doubled(findings: Findings, document: Row) -> None:
    findings.add(
        Check.COUNTS, "documents are there more than once", key=document.key, expected="one document", found="another"
    )


def _add_extra(forms: Forms, findings: Findings, document: Row) -> None:
    table = document.form[-3]
    migrated = "" if table == forms.table.name else ": they were not made by the migration"
    findings.add(
        Check.COUNTS,
        f"documents stand for no row{migrated}",
        key=document.key,
        expected="no document",
        found=f"_id {document.id.hex()}",
    )


def compare_forms(forms: Forms, findings: Findings, row: Row, document: Row) -> None:
    """Record the fields in which a row and its document differ."""
    differences = list(islice(forms.differences(row.form, document.form), 50))
    only = "only " if len(differences) == 1 else ""
    for difference in differences:
        findings.add(
            Check.FIELDS,
            f"rows differ {only}in {difference.field}: {difference.cause}",
            key=row.key,
            field=difference.field,
            expected=difference.expected,
            found=difference.found,
        )
