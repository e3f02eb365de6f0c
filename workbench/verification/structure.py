"""Level 4, within a collection: indexes, validators and options against the specs, and the embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from bson.binary import VECTOR_SUBTYPE, Binary
from pymongo.database import Database

from workbench import schema
from workbench.models.document import python_value
from workbench.models.spec import Collection
from workbench.settings import Settings
from workbench.similarity.embedder import Embedder, embedder_for
from workbench.verification.findings import Check, Findings

NORM_TOLERANCE = 1e-3
MAX_RECOMPUTED = {"structure-hash": 20_000, "minilm": 200}
"""Embeddings that are made anew and compared, by model: cheap ones more often."""
_EVENT_FIELDS = ("metric", "cohort", "observed", "expected", "score", "severity", "evidence")
_BATCH = 1_000
_FLOAT32 = b"\x27\x00"


def compare_structure(database: Database[Any], spec: Collection, settings: Settings, findings: Findings) -> int:
    """Compare a collection's kind, indexes, validator and options with its spec; how many things were compared."""
    plan = schema.plan(database, settings, collections=[spec])
    for step in plan.steps:
        findings.add(
            Check.STRUCTURE,
            f"missing: {step.action} {step.subject}".rstrip(),
            field=step.subject,
            expected=str(step.action),
            found="absent, or another",
        )
    for conflict in plan.conflicts:
        findings.add(
            Check.STRUCTURE,
            f"contradictions of the spec: {conflict.subject or 'kind'}",
            field=conflict.subject,
            expected=conflict.expected,
            found=conflict.found,
        )
    return 1 + len(spec.indexes) + (1 if spec.vector else 0)


def compare_embeddings(database: Database[Any], spec: Collection, settings: Settings, findings: Findings) -> int:
    """Judge every embedding of a collection: present, float32, dimension, length, and whether it is its document's."""
    if spec.vector is None:
        return 0
    examined, names, keys = 0, Counter[str](), dict[str, str]()
    fields = dict.fromkeys((spec.vector.path, "embedding_model", spec.natural_key[0], *_EVENT_FIELDS), 1)
    embedder = embedder_for(settings)
    with database[spec.name].find({}, fields, batch_size=_BATCH) as cursor:
        while batch := list(islice(cursor, _BATCH)):
            for document in batch:
                name = str(document.get("embedding_model"))
                names[name] += 1
                keys.setdefault(name, str(document.get(spec.natural_key[0])))
            well = [document for document in batch if _is_well(document, spec, settings, findings)]
            if examined < MAX_RECOMPUTED[settings.embedding_model]:
                _compare_with_anew(well, spec, embedder, findings)
            examined += len(batch)
    usual = max(names, key=lambda name: names[name], default=embedder.name)
    for name, count in names.items():
        if name != usual:
            findings.add(
                Check.STRUCTURE,
                f"embeddings were made by {name}, the others by {usual}: they cannot be compared",
                key=keys[name],
                field="embedding_model",
                expected=usual,
                found=name,
                count=count,
            )
    return examined


def _is_well(document: Mapping[str, Any], spec: Collection, settings: Settings, findings: Findings) -> bool:
    path = spec.vector.path if spec.vector else ""
    problem, expected, found = _problem(document.get(path), settings.vector_dimensions)
    if problem:
        key = str(document.get(spec.natural_key[0]))
        findings.add(Check.STRUCTURE, problem, key=key, field=path, expected=expected, found=found)
    return not problem


def _compare_with_anew(
    documents: Sequence[Mapping[str, Any]], spec: Collection, embedder: Embedder, findings: Findings
) -> None:
    """Make the vectors once more from the other fields of their documents, and compare."""
    path = spec.vector.path if spec.vector else ""
    ours = [document for document in documents if document.get("embedding_model") == embedder.name]
    events = [{name: python_value(document.get(name)) for name in _EVENT_FIELDS} for document in ours]
    for document, vector in zip(ours, embedder.embed(events), strict=True):
        likeness = float(vector @ np.frombuffer(document[path], dtype="<f4", offset=2))
        if not likeness >= 1 - NORM_TOLERANCE:
            findings.add(
                Check.STRUCTURE,
                "embeddings are not those of their documents",
                key=str(document.get(spec.natural_key[0])),
                field=path,
                expected="cosine 1 with a vector made anew",
                found=f"cosine {likeness:.4f}",
            )


def _problem(value: Any, dimensions: int) -> tuple[str, str, str]:
    if value is None:
        return "documents have no embedding", "an embedding", "null"
    if not isinstance(value, Binary) or value.subtype != VECTOR_SUBTYPE or bytes(value[:2]) != _FLOAT32:
        return "embeddings are no BSON vector of float32", "binary subtype 9, float32", type(value).__name__
    found = (len(value) - 2) // 4
    if found != dimensions or (len(value) - 2) % 4:
        return "embeddings have the wrong dimension", str(dimensions), str(found)
    norm = float(np.linalg.norm(np.frombuffer(value, dtype="<f4", offset=2)))
    if not abs(norm - 1) <= NORM_TOLERANCE:  # also true for NaN
        return "embeddings are not of length 1", "1", f"{norm:.4f}"
    return "", "", ""
