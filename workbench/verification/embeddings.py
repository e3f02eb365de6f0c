"""Level 4, embeddings: each present and well formed, and made by the model of the settings from its own document."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from bson.binary import VECTOR_SUBTYPE, Binary
from pymongo.database import Database

from workbench import connections
from workbench.migration.tables import TABLES
from workbench.models.document import python_value
from workbench.models.spec import Collection
from workbench.settings import Settings
from workbench.similarity.embedder import Embedder, embedder_for
from workbench.verification.findings import Check, Findings
from workbench.verification.sampling import upper_bound

NORM_TOLERANCE = 1e-3
LIKENESS_TOLERANCE = 1e-3
"""Of a model whose arithmetic differs a little from machine to machine."""
RELATIVE, ABSOLUTE = 1e-6, 1e-7
"""Of a deterministic embedder: a few units in the last place of a float32. Half precision errs by 5e-4."""
DETERMINISTIC = "structure-hash"
MAX_RECOMPUTED = 200
"""Embeddings that a model which is not cheap makes anew."""
_EVENT_FIELDS = ("metric", "cohort", "observed", "expected", "score", "severity", "evidence")
_BATCH = 1_000
_FLOAT32 = b"\x27\x00"


@dataclass(frozen=True)
class Embeddings:
    """What was found out about the embeddings of a collection.

    Attributes:
        bound: with 95 % confidence at most this fraction is not that of its document; 0 where all were made anew.
    """

    examined: int
    findings: Findings
    note: str = ""
    bound: float = 0.0


def embeddings_of(settings: Settings, table: str, seed: int) -> Embeddings:
    """Judge the embeddings of a table's collection, on a connection of its own: for a worker process."""
    with connections.open_target(settings, bulk=True) as client:
        return judge_embeddings(client[settings.mongodb_database], table, settings, seed)


def judge_embeddings(database: Database[Any], table: str, settings: Settings, seed: int = 1) -> Embeddings:
    """Judge every embedding of a collection: present, float32, dimension, length, model, and its own document's.

    Args:
        seed: chooses which embeddings are made anew, where not all are.
    """
    spec, findings = TABLES[table].collection, Findings(table)
    if spec.vector is None:
        return Embeddings(0, findings)
    embedder = embedder_for(settings)
    all_of_them = settings.embedding_model == DETERMINISTIC
    documents = 0 if all_of_them else database[spec.name].count_documents({})
    share = 1.0 if all_of_them else MAX_RECOMPUTED / max(1, documents)
    chosen, names, keys = random.Random(seed), Counter[str](), dict[str, str]()  # noqa: S311 - a sample, not a secret
    examined = recomputed = wrong = 0
    fields = dict.fromkeys((spec.vector.path, "embedding_model", spec.natural_key[0], *_EVENT_FIELDS), 1)
    with database[spec.name].find({}, fields, batch_size=_BATCH) as cursor:
        while batch := list(islice(cursor, _BATCH)):
            for document in batch:
                name = str(document.get("embedding_model"))
                names[name] += 1
                keys.setdefault(name, _key(document, spec))
            well = [document for document in batch if _is_well(document, spec, settings, findings)]
            ours = [d for d in well if d.get("embedding_model") == embedder.name and chosen.random() < share]
            wrong += _compare_with_anew(ours, spec, embedder, findings, exactly=all_of_them)
            recomputed += len(ours)
            examined += len(batch)
    for name in names.keys() - {embedder.name}:
        findings.add(
            Check.STRUCTURE,
            f"embeddings were made by {name}, the settings name {embedder.name}: they were not made anew",
            key=keys[name],
            field="embedding_model",
            expected=embedder.name,
            found=name,
            count=names[name],
        )
    if all_of_them or not examined:
        return Embeddings(examined, findings)
    bound = upper_bound(recomputed, wrong)
    note = f"{recomputed:,} of {examined:,} embeddings were made anew: at most {bound:.2%} are not their documents'"
    return Embeddings(examined, findings, note, bound)


def _key(document: Mapping[str, Any], spec: Collection) -> str:
    return str(document.get(spec.natural_key[0]))


def _is_well(document: Mapping[str, Any], spec: Collection, settings: Settings, findings: Findings) -> bool:
    path = spec.vector.path if spec.vector else ""
    problem, expected, found = _problem(document.get(path), settings.vector_dimensions)
    if problem:
        findings.add(
            Check.STRUCTURE, problem, key=_key(document, spec), field=path, expected=expected, found=found
        )  # fmt: skip
    return not problem


def _compare_with_anew(
    documents: Sequence[Mapping[str, Any]], spec: Collection, embedder: Embedder, findings: Findings, *, exactly: bool
) -> int:
    """Make the vectors once more from the other fields of their documents, and compare; how many are wrong."""
    if not documents:
        return 0
    path = spec.vector.path if spec.vector else ""
    events = [{name: python_value(document.get(name)) for name in _EVENT_FIELDS} for document in documents]
    made = embedder.embed(events)
    stored = np.stack([np.frombuffer(document[path], dtype="<f4", offset=2) for document in documents])
    likeness = np.einsum("ij,ij->i", made, stored)
    if exactly:
        same = np.isclose(stored, made, rtol=RELATIVE, atol=ABSOLUTE).all(axis=1)
    else:
        same = likeness >= 1 - LIKENESS_TOLERANCE
    for index in map(int, np.flatnonzero(~same)):
        off = float(np.abs(stored[index] - made[index]).max())
        findings.add(
            Check.STRUCTURE,
            "embeddings are not those of their documents",
            key=_key(documents[index], spec),
            field=path,
            expected="the vector made anew",
            found=f"cosine {likeness[index]:.6f} with it, a number off by {off:.1e}",
        )
    return int((~same).sum())


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
