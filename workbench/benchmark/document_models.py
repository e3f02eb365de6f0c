"""Document-model what-if: the same data under several shapes, measured, and the choice that follows from the figures.

Shapes of a one-to-many relation, here an investigation with its audit entries or its transaction scores:

    reference   a document an item (what the migration makes)
    bucket      a document for up to `BUCKET_ITEMS` items of an investigation
    embed       all items in one document of the investigation

The rule of the recommendation (`recommend`): the document of the shape `embed` grows with its investigation, so that
shape is out if its largest document, grown `GROWTH` times, would exceed MongoDB's 16 MB; documents of the other shapes
do not grow. Each remaining shape has a cost: the geometric mean of its size, the size of its indexes, its load time
and the latency of each question, each over the best of the remaining shapes. The lowest cost wins; a shape within
`MARGIN` of the lowest that is simpler (earlier in the list above) wins over it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import bson
import numpy as np
import pandas as pd
from pymongo.collection import Collection
from pymongo.database import Database

from workbench.benchmark.statistics import Interval, summarize
from workbench.models.fields import MAX_DOCUMENT_BYTES

Json: TypeAlias = dict[str, Any]
Answer: TypeAlias = list[Any]

BUCKET_ITEMS = 100
GROWTH = 100
"""How often larger than the largest of today an investigation may become: the sample has small cases."""
MARGIN = 0.10
_BATCH = 1_000
_COMPARED = 5  # owners for which the shapes' answers are compared


class Shape(StrEnum):
    """How items are stored, the simplest first."""

    REFERENCE = "reference"
    BUCKET = "bucket"
    EMBED = "embed"


@dataclass(frozen=True)
class Question:
    """One typical question to a family of shapes: `ask[shape]` answers it for an owner, the same for all shapes."""

    name: str
    ask: Mapping[Shape, Callable[[Collection[Json], Json], Answer]]
    writes: bool = False


@dataclass(frozen=True)
class Family:
    """The data of one what-if: items with their owner, the paths that identify and order them, the questions.

    Attributes:
        name: of the data.
        owner: field of the owning investigation in an item.
        order: field by which items are ordered, ascending in buckets and arrays.
        indexes: shape -> keys of the indexes that the questions need, beside `_id`.
        questions: what is asked.
    """

    name: str
    owner: str
    order: str
    indexes: Mapping[Shape, tuple[tuple[tuple[str, int], ...], ...]]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class ShapeFigures:
    """What was measured of one shape. Latencies are medians in milliseconds with their intervals."""

    family: str
    shape: Shape
    items: int
    documents: int
    bytes_total: int
    bytes_mean: float
    bytes_largest: int
    index_keys: int
    index_bytes: int | None
    items_per_second: float
    medians_ms: Mapping[str, float]
    intervals_ms: Mapping[str, Interval]


@dataclass(frozen=True)
class Recommendation:
    """The shape that the rule chooses, each shape's cost (None where it is out), and why, in figures."""

    family: str
    shape: Shape
    costs: Mapping[Shape, float | None]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.family}: {self.shape}. " + " ".join(self.reasons)


def measure_shapes(
    database: Database[Json],
    family: Family,
    items: Sequence[Json],
    owners: Sequence[Json],
    *,
    samples: int = 30,
    prefix: str,
) -> list[ShapeFigures]:
    """Load the items under each shape into scratch collections, ask every question, and drop them again.

    Args:
        database: of the target.
        family: what the items are.
        items: the documents of the reference shape, in memory.
        owners: `tenant_id` and owner of the investigations that are asked about, in turn.
        samples: executions of each question and shape.
        prefix: of the scratch collections' names.

    Raises:
        ValueError: two shapes answer a question differently, so that their figures cannot be compared.
    """
    figures = []
    answers: dict[str, Answer] = {}
    for shape in Shape:
        collection = database[f"{prefix}_{family.name}_{shape}".replace(" ", "_")]
        collection.drop()
        try:
            figures.append(_measure_shape(collection, family, shape, items, owners, samples, answers))
        finally:
            collection.drop()
    return figures


def shaped(family: Family, shape: Shape, items: Iterable[Json]) -> list[Json]:
    """The documents that hold the items under a shape; items of an owner stand in their order."""
    if shape is Shape.REFERENCE:
        return [dict(item) for item in items]
    by_owner: dict[tuple[str, str], list[Json]] = {}
    for item in items:
        by_owner.setdefault((item["tenant_id"], item[family.owner]), []).append(item)
    documents = []
    for (tenant, owner), own in by_owner.items():
        own.sort(key=lambda item: item[family.order])
        size = BUCKET_ITEMS if shape is Shape.BUCKET else len(own)
        for start in range(0, len(own), size):
            part = [_inner(item, family) for item in own[start : start + size]]
            documents.append(
                {
                    "tenant_id": tenant,
                    family.owner: owner,
                    "count": len(part),
                    "first": part[0][family.order],
                    "last": part[-1][family.order],
                    "items": part,
                }
            )
    return documents


def recommend(figures: Sequence[ShapeFigures]) -> Recommendation:
    """The shape that the rule at the top of this module chooses for one family.

    Raises:
        ValueError: no shape is left, which the stored documents themselves rule out.
    """
    family = figures[0].family
    kept = _kept(figures)
    reasons = [
        f"{one.shape} is out: its largest document of {one.bytes_largest:,} bytes could become {_grown(one):,}, more "
        f"than the {MAX_DOCUMENT_BYTES:,} of a document."
        for one in figures
        if one not in kept
    ]
    if not kept:
        raise ValueError(f"{family}: no shape holds the items. {' '.join(reasons)}")
    ratios = costs_frame(figures)
    costs: dict[Shape, float | None] = {one.shape: None for one in figures}
    costs |= {one.shape: float(np.exp(np.log(ratios[str(one.shape)]).mean())) for one in kept}
    known = {shape: cost for shape, cost in costs.items() if cost is not None}
    lowest = min(known.values())
    chosen = next(shape for shape in Shape if known.get(shape, math.inf) <= lowest * (1 + MARGIN))
    said = ", ".join(f"{shape} {cost:.2f}" for shape, cost in known.items())
    reasons.append(f"Cost over the best of each figure ({', '.join(ratios['figure'])}): {said}.")
    if known[chosen] > lowest:
        reasons.append(f"{chosen} is within {MARGIN:.0%} of the lowest and simpler.")
    return Recommendation(family, chosen, costs, tuple(reasons))


def _kept(figures: Sequence[ShapeFigures]) -> list[ShapeFigures]:
    return [one for one in figures if _grown(one) <= MAX_DOCUMENT_BYTES]


def _grown(one: ShapeFigures) -> int:
    return one.bytes_largest * (GROWTH if one.shape is Shape.EMBED else 1)


def _costs(one: ShapeFigures, compared: Sequence[ShapeFigures]) -> dict[str, float]:
    """What a shape costs, the less the better; indexes by their keys where a server does not tell their size."""
    told = all(other.index_bytes for other in compared)
    return {
        "size": one.bytes_total,
        "index size": one.index_bytes if told and one.index_bytes else one.index_keys,
        "load time": 1 / one.items_per_second,
        **one.medians_ms,
    }


def figures_frame(figures: Sequence[ShapeFigures]) -> pd.DataFrame:
    """A row for each shape: sizes and load rate."""
    return pd.DataFrame(
        [
            {
                "shape": str(one.shape),
                "documents": one.documents,
                "MB": one.bytes_total / 1e6,
                "mean bytes": one.bytes_mean,
                "largest bytes": one.bytes_largest,
                "index keys": one.index_keys,
                "index kB": None if one.index_bytes is None else one.index_bytes / 1e3,
                "items loaded a second": one.items_per_second,
            }
            for one in figures
        ]
    )


def costs_frame(figures: Sequence[ShapeFigures]) -> pd.DataFrame:
    """What the recommendation follows from: for each figure and shape, how often it is the best shape's."""
    kept = _kept(figures)
    costs = {one.shape: _costs(one, kept) for one in kept}
    names = list(costs[kept[0].shape]) if kept else []
    best = {name: min(own[name] for own in costs.values()) for name in names}
    return pd.DataFrame(
        [{"figure": name, **{str(shape): own[name] / best[name] for shape, own in costs.items()}} for name in names]
    )


def question_frame(figures: Sequence[ShapeFigures]) -> pd.DataFrame:
    """A row for each question, a column for each shape: median milliseconds."""
    return pd.DataFrame(
        [
            {"question": name, **{str(one.shape): one.medians_ms[name] for one in figures}}
            for name in figures[0].medians_ms
        ]
    )


def _measure_shape(
    collection: Collection[Json],
    family: Family,
    shape: Shape,
    items: Sequence[Json],
    owners: Sequence[Json],
    samples: int,
    answers: dict[str, Answer],
) -> ShapeFigures:
    documents = shaped(family, shape, items)
    sizes = [len(bson.encode(document)) for document in documents]
    for keys in family.indexes[shape]:
        collection.create_index(list(keys))
    started = time.perf_counter()
    for start in range(0, len(documents), _BATCH):
        collection.insert_many(documents[start : start + _BATCH], ordered=False)
    seconds = time.perf_counter() - started
    medians, intervals = {}, {}
    for question in family.questions:
        ask = question.ask[shape]
        if not question.writes:
            given = [ask(collection, owner) for owner in owners[:_COMPARED]]
            if answers.setdefault(question.name, given) != given:
                raise ValueError(f"{family.name}: the shapes answer {question.name!r} differently.")
        latencies = []
        for number in range(samples):
            owner = dict(owners[number % len(owners)], serial=number)
            began = time.perf_counter()
            ask(collection, owner)
            latencies.append((time.perf_counter() - began) * 1000)
        summary = summarize(latencies)
        medians[question.name], intervals[question.name] = summary.median, summary.median_interval
    return ShapeFigures(
        family.name, shape, len(items), len(documents), sum(sizes), sum(sizes) / len(sizes), max(sizes),
        index_keys=_index_keys(documents, family.indexes[shape]),
        index_bytes=_index_bytes(collection),
        items_per_second=len(items) / seconds,
        medians_ms=medians,
        intervals_ms=intervals,
    )  # fmt: skip


def _inner(item: Mapping[str, Any], family: Family) -> Json:
    """An item without what its owner's document says for all of them."""
    return {name: value for name, value in item.items() if name not in ("_id", "tenant_id", family.owner)}


def _index_keys(documents: Sequence[Json], indexes: Sequence[tuple[tuple[str, int], ...]]) -> int:
    """Entries of all indexes, `_id`'s among them: one a document, one an item where a path goes into the array."""
    items = sum(len(document.get("items", ())) for document in documents)
    inside = sum(any(path.startswith("items.") for path, _ in keys) for keys in indexes)
    return len(documents) * (1 + len(indexes) - inside) + items * inside


def _index_bytes(collection: Collection[Json]) -> int | None:
    """The size of the indexes as the server counts it, None where it does not."""
    stats = collection.database.command("collStats", collection.name)
    size = stats.get("totalIndexSize")
    return None if size is None else int(size)
