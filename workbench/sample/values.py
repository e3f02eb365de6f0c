"""Repeatable values: hashes of (seed, name, index) in place of state, so that any row can be made on its own."""

from __future__ import annotations

import json
import zlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Hashes: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]
Row: TypeAlias = tuple[str | None, ...]
"""One row as the text PostgreSQL reads, a value a column in the table's order; None is NULL."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
REFERENCE_US = int(np.datetime64("2026-11-01T00:00:00", "us").astype(np.int64))
"""The sample's present, in microseconds since 1970: nothing in it is younger, and the clock is never read."""
HISTORY_US = 365 * DAY
"""How far back the sample's history goes."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashes(seed: int, name: str, index: npt.ArrayLike) -> Hashes:
    """64 well-mixed bits for each index (splitmix64); `name` tells independent series apart."""
    start = np.uint64((seed * 0x2545F4914F6CDD1D + zlib.crc32(name.encode()) * 0x9E3779B1) & (2**64 - 1))
    mixed = np.atleast_1d(np.asarray(index, dtype=np.uint64)) * _GOLDEN + start
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def uniforms(seed: int, name: str, index: npt.ArrayLike) -> Floats:
    """A number in [0, 1) for each index."""
    return np.asarray((hashes(seed, name, index) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def picks(seed: int, name: str, index: npt.ArrayLike, count: int) -> Ints:
    """A number in 0..count-1 for each index, all equally likely."""
    return np.asarray(uniforms(seed, name, index) * count, dtype=np.int64)


def zipf_picks(seed: int, name: str, index: npt.ArrayLike, count: int) -> Ints:
    """A number in 0..count-1 for each index, where k is about 1/(k+1) as likely as 0 (Zipf with exponent 1)."""
    return np.asarray((count + 1.0) ** uniforms(seed, name, index) - 1.0, dtype=np.int64)


def uuids(seed: int, name: str, index: npt.ArrayLike) -> list[str]:
    """A version 4 UUID for each index."""
    flat = np.atleast_1d(np.asarray(index, dtype=np.uint64))
    high = (hashes(seed, name + "/high", flat) & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
    low = (hashes(seed, name + "/low", flat) & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(0x8000000000000000)
    digits = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    each = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    return [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in each]


def timestamps(microseconds: npt.ArrayLike) -> list[str]:
    """ISO 8601 text without a zone (UTC) for each number of microseconds since 1970."""
    moments = np.atleast_1d(np.asarray(microseconds, dtype=np.int64)).astype("datetime64[us]")
    texts: list[str] = np.datetime_as_string(moments).tolist()
    return texts


def dumps(value: Any) -> str:
    """Compact JSON text with Unicode as it is."""
    return _encode(value)


def fraud_scores(seed: int, name: str, index: npt.ArrayLike) -> Floats:
    """Scores in [0, 1) as fraud models give them: most near 0, few between, a hump at 0.8 to 0.95."""
    kind = uniforms(seed, name + "/kind", index)
    position = uniforms(seed, name, index)
    other = uniforms(seed, name + "/other", index)
    hump = 0.78 + 0.19 * (position + other) / 2
    return np.asarray(np.where(kind < 0.86, 0.7 * position**4, hump), dtype=np.float64)
