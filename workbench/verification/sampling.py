"""A quick look: some rows at random, compared with their documents, and what that allows to say about all."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import psycopg
from bson import Binary, ObjectId
from pymongo.database import Database

from workbench.verification.canonical import same
from workbench.verification.compare import add_missing, compare_forms
from workbench.verification.findings import Findings
from workbench.verification.forms import Forms, identity
from workbench.verification.scan import Row, as_compared, document_key, rows_by_sample

_BATCH = 500


def upper_bound(sampled: int, wrong: int, confidence: float = 0.95) -> float:
    """The Clopper-Pearson upper bound of the fraction of wrong rows, one-sided; with none wrong about 3 / sampled.

    Solves P(at most `wrong` of `sampled` | fraction) = 1 - confidence by bisection.
    """
    if sampled == 0 or wrong >= sampled:
        return 1.0
    low, high = wrong / sampled, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if _at_most(wrong, sampled, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(wrong: int, sampled: int, fraction: float) -> float:
    """The probability of at most `wrong` wrong rows in a sample."""
    if fraction in (0.0, 1.0):
        return 1.0 - fraction
    logs = (
        math.lgamma(sampled + 1) - math.lgamma(count + 1) - math.lgamma(sampled - count + 1)
        + count * math.log(fraction) + (sampled - count) * math.log1p(-fraction)
        for count in range(wrong + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))


def compare_sample(
    source: psycopg.Connection[Any],
    database: Database[Any],
    forms: Forms,
    *,
    rows: int,
    wanted: int,
    seed: int,
    excluded: frozenset[bytes],
    findings: Findings,
) -> tuple[int, int]:
    """Compare about `wanted` rows of a table with their documents; how many were compared, and how many are wrong."""
    chosen = rows_by_sample(source, forms, rows=rows, wanted=wanted, seed=seed)
    expected = dict(zip(forms.row_ids(chosen), chosen, strict=True))
    wrong = 0
    ids = [row_id for row_id in expected if row_id not in excluded]
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        found = _documents(database, forms, {row_id: expected[row_id] for row_id in batch})
        for row_id in batch:
            source_row = expected[row_id]
            row = Row(row_id, "/".join(forms.row_key(source_row)), forms.row_form(source_row))
            documents = found.get(row_id, [])
            if not documents:
                add_missing(findings, row)
            for document in documents:
                compare_forms(forms, findings, row, document)
            wrong += len(documents) != 1 or not same(documents[0].form, row.form)
    return len(ids), wrong


def _documents(database: Database[Any], forms: Forms, rows: dict[bytes, tuple[Any, ...]]) -> dict[bytes, list[Row]]:
    """The documents of some rows: by `_id`, or by natural key in a time series, whose `_id` has no index."""
    spec = forms.table.collection
    query: dict[str, Any] = {"_id": {"$in": [ObjectId(row_id) for row_id in rows]}}
    if spec.time_series:
        keys = (forms.row_key(row)[0] for row in rows.values())
        is_uuid = any(column.name == forms.table.key[0] and column.kind == "uuid" for column in forms.table.columns)
        query = {spec.natural_key[0]: {"$in": [Binary.from_uuid(UUID(key)) if is_uuid else key for key in keys]}}
    projection = {spec.vector.path: 0} if spec.vector else None
    found: dict[bytes, list[Row]] = {}
    for document in as_compared(database[spec.name]).find(query, projection):
        row_id = identity(document)
        found.setdefault(row_id, []).append(Row(row_id, document_key(forms, document), forms.document_form(document)))
    return found
