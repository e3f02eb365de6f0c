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
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import bson
import numpy as np
import pandas as pd
from pymongo.collection import Collection
from pymongo.database import Database

from workbench.benchmark.statistics import CONFIDENCE
from workbench.models.fields import MAX_DOCUMENT_BYTES

Json: TypeAlias = dict[str, Any]
Answer: TypeAlias = list[Any]

BUCKET_ITEMS = 100
GROWTH = 100
"""How often larger than the largest of today an investigation may become: the sample has small cases."""
MARGIN = 0.10
_BATCH = 1_000
_RESAMPLES = 200
_LOADS = 3  # the shapes in turn
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
    """What was measured of one shape: `load_seconds` of each load, `samples_ms` of each question."""

    family: str
    shape: Shape
    items: int
    documents: int
    bytes_total: int
    bytes_mean: float
    bytes_largest: int
    index_keys: int
    index_bytes: int | None
    load_seconds: tuple[float, ...]
    samples_ms: Mapping[str, tuple[float, ...]]

    @property
    def items_per_second(self) -> float:
        """Items loaded a second, by the median of the loads."""
        return self.items / float(np.median(self.load_seconds))

    @cached_property
    def medians_ms(self) -> dict[str, float]:
        """The median latency of each question."""
        return {name: float(np.median(samples)) for name, samples in self.samples_ms.items()}


@dataclass(frozen=True)
class Recommendation:
    """The shape that the rule chooses, each shape's cost (None where it is out), and why, in figures.

    `certainty` is the share of bootstrap resamples of the times in which the same shape is chosen.
    """

    family: str
    shape: Shape
    costs: Mapping[Shape, float | None]
    reasons: tuple[str, ...]
    certainty: float

    @property
    def settled(self) -> bool:
        """Whether the spread of the times leaves the choice as it is."""
        return self.certainty >= CONFIDENCE

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
        samples: executions of each question and shape; the shapes take turns, so that a busy machine slows all.
        prefix: of the scratch collections' names.

    Raises:
        ValueError: two shapes answer a question differently, so that their figures cannot be compared.
    """
    stored = {shape: database[f"{prefix}_{family.name}_{shape}".replace(" ", "_")] for shape in Shape}
    try:
        loads = [{shape: _load_shape(stored[shape], family, shape, items) for shape in Shape} for _ in range(_LOADS)]
        figures = [
            replace(loads[-1][shape], load_seconds=tuple(load[shape].load_seconds[0] for load in loads))
            for shape in Shape
        ]
        for question in family.questions:
            if not question.writes:
                _require_same_answers(stored, family, question, owners[:_COMPARED])
        latencies = {question.name: _ask_in_turns(stored, question, owners, samples) for question in family.questions}
    finally:
        for collection in stored.values():
            collection.drop()
    return [
        replace(one, samples_ms={name: tuple(by_shape[one.shape]) for name, by_shape in latencies.items()})
        for one in figures
    ]


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
    chosen, known = _choose(kept)
    costs: dict[Shape, float | None] = {one.shape: known.get(one.shape) for one in figures}
    said = ", ".join(f"{shape} {cost:.2f}" for shape, cost in known.items())
    reasons.append(f"Cost over the best of each figure ({', '.join(_costs(kept[0], kept))}): {said}.")
    if known[chosen] > min(known.values()):
        reasons.append(f"{chosen} is within {MARGIN:.0%} of the lowest and simpler.")
    certainty = _certainty(kept, chosen)
    reasons.append(f"{certainty:.0%} of resamples of the times choose the same.")
    found = Recommendation(family, chosen, costs, tuple(reasons), certainty)
    if not found.settled:
        found = replace(found, reasons=(*found.reasons, "That does not settle it: take more samples."))
    return found


def _choose(kept: Sequence[ShapeFigures]) -> tuple[Shape, dict[Shape, float]]:
    """The shape that the rule chooses, and the cost of each."""
    costs = {one.shape: _costs(one, kept) for one in kept}
    best = {name: min(own[name] for own in costs.values()) for name in costs[kept[0].shape]}
    means = {
        shape: math.exp(sum(math.log(own[name] / best[name]) for name in best) / len(best))
        for shape, own in costs.items()
    }
    limit = min(means.values()) * (1 + MARGIN)
    return next(shape for shape in Shape if means.get(shape, math.inf) <= limit), means


def _certainty(kept: Sequence[ShapeFigures], chosen: Shape) -> float:
    random = np.random.default_rng(0)
    same = 0
    for _ in range(_RESAMPLES):
        drawn = [
            replace(one, samples_ms={name: tuple(random.choice(own, len(own))) for name, own in one.samples_ms.items()})
            for one in kept
        ]
        same += _choose(drawn)[0] is chosen
    return same / _RESAMPLES


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


def verdict_text(choices: Sequence[Recommendation]) -> str:
    """The choices in one sentence; one that is not settled is named as such."""
    said = [f"{one.family} as {one.shape}{'' if one.settled else ' (not settled)'}" for one in choices]
    return f"By these figures: {', '.join(said)}."


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


def _load_shape(collection: Collection[Json], family: Family, shape: Shape, items: Sequence[Json]) -> ShapeFigures:
    collection.drop()
    documents = shaped(family, shape, items)
    sizes = [len(bson.encode(document)) for document in documents]
    for keys in family.indexes[shape]:
        collection.create_index(list(keys))
    started = time.perf_counter()
    for start in range(0, len(documents), _BATCH):
        collection.insert_many(documents[start : start + _BATCH], ordered=False)
    seconds = time.perf_counter() - started
    return ShapeFigures(
        family.name, shape, len(items), len(documents), sum(sizes), sum(sizes) / len(sizes), max(sizes),
        index_keys=_index_keys(documents, family.indexes[shape]),
        index_bytes=_index_bytes(collection),
        load_seconds=(seconds,),
        samples_ms={},
    )  # fmt: skip


def _require_same_answers(
    stored: Mapping[Shape, Collection[Json]], family: Family, question: Question, owners: Sequence[Json]
) -> None:
    answers = [[question.ask[shape](collection, owner) for owner in owners] for shape, collection in stored.items()]
    if any(answer != answers[0] for answer in answers):
        raise ValueError(f"{family.name}: the shapes answer {question.name!r} differently.")


def _ask_in_turns(
    stored: Mapping[Shape, Collection[Json]], question: Question, owners: Sequence[Json], samples: int
) -> dict[Shape, list[float]]:
    """Latencies in milliseconds; which shape goes first is drawn for each turn."""
    random = np.random.default_rng(0)
    shapes = list(stored)
    latencies: dict[Shape, list[float]] = {shape: [] for shape in shapes}
    for number in range(samples):
        owner = dict(owners[number % len(owners)], serial=number)
        for place in random.permutation(len(shapes)):
            shape = shapes[place]
            began = time.perf_counter()
            question.ask[shape](stored[shape], owner)
            latencies[shape].append((time.perf_counter() - began) * 1000)
    return latencies


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
