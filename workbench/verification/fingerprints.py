"""Fingerprints of a table by bucket: equal on both sides if, and practically only if, every field of every row is.

A row and its document have the same `_id`, 96 bits of a hash, so its leading bits assign both to the same bucket
however the sides are read. A bucket holds a count and the sum, modulo 2**128, of the digests of its rows: the sum does
not depend on order, so nothing is sorted, and it can be added up from parts that were read by different processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from workbench.verification.canonical import encoded

MIN_BUCKETS, MAX_BUCKETS = 64, 65_536
ROWS_A_BUCKET = 256
_MODULUS = 2**128


def buckets_for(rows: int) -> int:
    """How many buckets a table of about `rows` rows is cut into: a power of two."""
    wanted = max(MIN_BUCKETS, min(MAX_BUCKETS, rows // ROWS_A_BUCKET))
    return 1 << (wanted - 1).bit_length()


def bucket_of(row_id: bytes, buckets: int) -> int:
    """The bucket of a row: the leading bits of its `_id`."""
    return int.from_bytes(row_id[:4], "big") * buckets >> 32


def bucket_range(bucket: int, buckets: int) -> tuple[bytes, bytes | None]:
    """The `_id`s of a bucket: the first one, and the first one after it (None: there is none after it)."""
    width = (1 << 96) // buckets
    end = (bucket + 1) * width
    return (bucket * width).to_bytes(12, "big"), None if end >> 96 else end.to_bytes(12, "big")


def row_digest(row_id: bytes, form: Any) -> int:
    """128 bits of BLAKE2b over an `_id` and the canonical form of its row."""
    return int.from_bytes(blake2b(row_id + encoded(form), digest_size=16).digest(), "big")


@dataclass
class Fingerprints:
    """Counts and sums by bucket of one side. Memory: about 60 bytes a bucket, whatever the number of rows.

    Attributes:
        skipped: rows that were left out because they are in quarantine.
        seconds: how long reading and hashing took, added up over the processes.
    """

    buckets: int
    skipped: int = 0
    seconds: float = 0.0
    counts: array[int] = field(init=False, repr=False)
    sums: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.counts = array("q", bytes(8 * self.buckets))
        self.sums = [0] * self.buckets

    def add(self, row_id: bytes, form: Any) -> None:
        """Add one row or document."""
        bucket = bucket_of(row_id, self.buckets)
        self.counts[bucket] += 1
        self.sums[bucket] += row_digest(row_id, form)

    def merge(self, other: Fingerprints) -> None:
        """Add what another process has read."""
        self.skipped += other.skipped
        self.seconds += other.seconds
        for bucket, (count, total) in enumerate(zip(other.counts, other.sums, strict=True)):
            self.counts[bucket] += count
            self.sums[bucket] += total

    def differing(self, other: Fingerprints) -> list[int]:
        """The buckets in which the two sides differ."""
        pairs = zip(self.counts, other.counts, self.sums, other.sums, strict=True)
        return [
            bucket
            for bucket, (count, other_count, total, other_total) in enumerate(pairs)
            if count != other_count or (total - other_total) % _MODULUS
        ]

    @property
    def rows(self) -> int:
        """Rows or documents in all buckets."""
        return sum(self.counts)

    @property
    def total(self) -> str:
        """The fingerprint of the whole side, as hexadecimal text."""
        return f"{sum(self.sums) % _MODULUS:032x}"


def merged(parts: Iterable[Fingerprints], buckets: int) -> Fingerprints:
    """The fingerprints of a side from those of its parts."""
    whole = Fingerprints(buckets)
    for part in parts:
        whole.merge(part)
    return whole
