"""Differences as they are found: each with its place and its likely cause, counted by cause, few kept as examples."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

MAX_EXAMPLES = 5
MAX_CLUSTERS = 200
Side = Literal["source", "target", "both"]


class Check(StrEnum):
    """The checks of a table, in the order in which they are shown."""

    COUNTS = "counts"
    FIELDS = "fields"
    AGGREGATES = "aggregates"
    REFERENCES = "references"
    STRUCTURE = "structure"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Mismatch:
    """One difference: where it is, what was expected there, what was found, and its likely cause.

    Attributes:
        side: the side that holds what should not be, or lacks what should be.
        key: the row's key, its parts joined by a slash; empty where the table as a whole is meant.
        field: column of the source, or path in the document; empty where the whole row is meant.
    """

    table: str
    check: Check
    side: Side
    key: str
    field: str
    expected: str
    found: str
    cause: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.table, self.key, self.field) if part)
        return f"{place} ({self.side}): expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Cluster:
    """All mismatches of one cause: how many, and a few of them."""

    table: str
    check: Check
    cause: str
    count: int
    examples: tuple[Mismatch, ...]

    def __str__(self) -> str:
        return f"{self.table}: {self.count:,} {self.cause}"


class Findings:
    """Collects the mismatches of one table. Memory is bounded: counts by cause and a few examples of each."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._counts: dict[tuple[Check, str], int] = {}
        self._examples: dict[tuple[Check, str], list[Mismatch]] = {}

    def add(
        self, check: Check, cause: str, *, side: Side = "target", key: str = "", field: str = "",
        expected: str = "", found: str = "", count: int = 1,
    ) -> None:  # fmt: skip
        """Count a mismatch, and keep it as an example if its cause has few."""
        name = (check, cause)
        if name not in self._counts and len(self._counts) >= MAX_CLUSTERS:
            name = (check, "mismatches of further causes")
        self._counts[name] = self._counts.get(name, 0) + count
        examples = self._examples.setdefault(name, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(Mismatch(self.table, check, side, key, field, expected, found, name[1]))

    def merge(self, other: Findings) -> None:
        """Add what another process has found in the same table."""
        for cluster in other.clusters():
            for number, example in enumerate(cluster.examples):
                self.add(
                    cluster.check, cluster.cause, side=example.side, key=example.key, field=example.field,
                    expected=example.expected, found=example.found,
                    count=1 if number else cluster.count - len(cluster.examples) + 1,
                )  # fmt: skip

    def count(self, *checks: Check) -> int:
        """Mismatches of these checks; of all without arguments."""
        return sum(number for (check, _), number in self._counts.items() if not checks or check in checks)

    def clusters(self) -> tuple[Cluster, ...]:
        """The causes, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            Cluster(self.table, check, cause, number, tuple(self._examples[check, cause]))
            for (check, cause), number in ordered
        )
