"""Vectors in groups and on a plane, in numpy."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Vectors: TypeAlias = npt.NDArray[np.float32]
Numbers: TypeAlias = npt.NDArray[np.int64]

ALIKE = 0.7
"""Cosine from which two anomalies count as alike."""
BLOCK_ROWS = 1_000


def plane(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Coordinates of unit vectors on their two principal axes, shape (n, 2). Deterministic, also in sign."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0) if len(vectors) else vectors.astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    two = axes[:, -1:-3:-1]
    two = two * np.where(two[np.abs(two).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    return np.asarray(centred @ two)


def groups(vectors: Vectors, *, alike: float = ALIKE, least: int = 3) -> Numbers:
    """A group number for each vector, 0 for the largest group, -1 for those in none.

    The vector with most others alike to it leads the first group, and so on with what is left (leader clustering).
    Time and memory grow with the square of the number of vectors: 5,000 take about a second and 25 MB.

    Args:
        vectors: unit vectors, shape (n, dimensions).
        alike: cosine to the leader from which a vector joins.
        least: members of the smallest group.
    """
    count = len(vectors)
    near = np.zeros((count, count), dtype=bool)
    for start in range(0, count, BLOCK_ROWS):
        near[start : start + BLOCK_ROWS] = vectors[start : start + BLOCK_ROWS] @ vectors.T >= alike
    weight = near.sum(axis=1)
    found = np.full(count, -1, dtype=np.int64)
    number = 0
    while count and weight.max() >= least:
        members = np.flatnonzero(near[int(weight.argmax())])
        found[members] = number
        number += 1
        weight -= near[members].sum(axis=0)  # near is symmetric, and rows lie together in memory
        near[members, :] = False
        near[:, members] = False
        weight[members] = 0
    return found


def commonest(values: list[Any]) -> Any:
    """The value that comes most often; the smallest of several."""
    counted: dict[Any, int] = {}
    for value in values:
        counted[value] = counted.get(value, 0) + 1
    return min(counted, key=lambda value: (-counted[value], str(value))) if counted else None
