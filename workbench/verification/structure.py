"""Level 4, within a collection: indexes, validators and options against the specs, and the embeddings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from bson.binary import VECTOR_SUBTYPE, Binary
from pymongo.database import Database

from workbench import schema
from workbench.models.spec import Collection
from workbench.settings import Settings
from workbench.verification.results import Check, Findings

NORM_TOLERANCE = 1e-3
_FLOAT32 = b"\x27\x00"


def compare_structure(database: Database[Any], spec: Collection, settings: Settings, findings: Findings) -> int:
    """Compare a collection's kind, indexes, validator and options with its spec; how many things were compared."""
    plan = schema.plan(database, settings, collections=[spec])
    for step in plan.steps:
        findings.add(
            Check.STRUCTURE,
            f"things are missing: {step.action} {step.subject}".rstrip(),
            field=step.subject,
            expected=str(step.action),
            found="absent, or another",
        )
    for conflict in plan.conflicts:
        findings.add(
            Check.STRUCTURE,
            f"things contradict the spec: {conflict.subject or 'kind'}",
            field=conflict.subject,
            expected=conflict.expected,
            found=conflict.found,
        )
    return 1 + len(spec.indexes) + (1 if spec.vector else 0)


def compare_embeddings(database: Database[Any], spec: Collection, settings: Settings, findings: Findings) -> int:
    """Judge every embedding of a collection: present, float32, of the right dimension, of length 1; how many."""
    if spec.vector is None:
        return 0
    path, examined = spec.vector.path, 0
    model = f"{settings.embedding_model}"
    fields = {path: 1, "embedding_model": 1, spec.natural_key[0]: 1}
    names: dict[str, int] = {}
    for document in database[spec.name].find({}, fields, batch_size=1_000):
        examined += 1
        name = str(document.get("embedding_model"))
        names[name] = names.get(name, 0) + 1
        problem, expected, found = _problem(document.get(path), settings.vector_dimensions)
        if problem:
            key = str(document.get(spec.natural_key[0]))
            findings.add(Check.STRUCTURE, problem, key=key, field=path, expected=expected, found=found)
    usual = max(names, key=lambda name: names[name], default=model)
    for name, count in names.items():
        if name != usual:
            findings.add(
                Check.STRUCTURE,
                f"embeddings were made by {name}, the others by {usual}: they cannot be compared",
                field="embedding_model",
                expected=usual,
                found=name,
                count=count,
            )
    return examined


def _problem(value: Any, dimensions: int) -> tuple[str, str, str]:
    if value is None:
        return "documents have no embedding", "an embedding", "null"
    if not isinstance(value, Binary) or value.subtype != VECTOR_SUBTYPE or bytes(value[:2]) != _FLOAT32:
        return "embeddings are no BSON vector of float32", "binary subtype 9, float32", type(value).__name__
    found = (len(value) - 2) // 4
    if found != dimensions or (len(value) - 2) % 4:
        return "embeddings have the wrong dimension", str(dimensions), str(found)
    norm = sum(number * number for number in _numbers(value)) ** 0.5
    if not abs(norm - 1) <= NORM_TOLERANCE:  # also true for NaN
        return "embeddings are not of length 1", "1", f"{norm:.4f}"
    return "", "", ""


def _numbers(value: bytes) -> Iterator[float]:
    return (number for (number,) in struct.iter_unpack("<f", value[2:]))
