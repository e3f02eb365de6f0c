"""Plants bad rows: copies of good rows under fresh keys, each spoiled in one field.

The good rows stay those of the clean sample. Bad rows are spread over the tables in proportion to their size, and
over each table evenly; small tables get more, so that every kind occurs, and the largest table gets fewer.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from random import Random

from workbench.sample.ddl import COLUMNS, KEYS
from workbench.sample.kinds import KINDS, SCORES, Kind, RowDict
from workbench.sample.plan import SamplePlan
from workbench.sample.values import Row, hashes, uuids


@dataclass(frozen=True)
class PlantedRow:
    """A bad row and what is wrong with it."""

    row: Row
    key: str
    kind: Kind
    field: str

    def known(self, table: str) -> Row:
        """Its row of `workbench_sample.planted`."""
        return (table, self.key, self.kind.name, self.field, "true" if self.kind.quarantined else "false")


class Planter:
    """Chooses and makes the bad rows of one fill; `counts` says how many of each kind it made."""

    def __init__(self, plan: SamplePlan, dirty: float) -> None:
        self.counts: dict[str, int] = {}
        self._plan = plan
        self._planted: Counter[str] = Counter()
        self._quotas = quotas(plan, dirty)

    def plant(self, table: str, good: list[Row], done: float) -> list[PlantedRow]:
        """The bad rows that go with a block of good ones.

        Args:
            table: where they belong.
            good: the block; each bad row is the copy of another of its rows.
            done: the part of the table's good rows, this block included, that has been made: 0 to 1.
        """
        due = min(round(self._quotas[table] * done) - self._planted[table], len(good))
        if due <= 0:
            return []
        random = Random(f"{self._plan.seed}/planted/{table}/{self._planted[table]}")
        copies = [dict(zip(COLUMNS[table], row, strict=True)) for row in random.sample(good, len(good))[: 8 * due]]
        return [self._spoil(table, copies) for _ in range(due)]

    def _spoil(self, table: str, copies: list[RowDict]) -> PlantedRow:
        """Turn one of the copies into a bad row, and take it out of them."""
        number = self._planted[table]
        places = PLACES[table]
        kind, field = places[number % len(places)]
        suitable = next((row for row in copies if kind.suits is None or kind.suits(row)), None)
        if suitable is None or (kind.once and kind.name in self.counts):
            kind, field = places[0]
            suitable = copies[0]
        copies.remove(suitable)
        _rename(table, suitable, self._plan.seed, number)
        kind.change(suitable, field, number)
        self._planted[table] += 1
        self.counts[kind.name] = self.counts.get(kind.name, 0) + 1
        row = tuple(suitable[column] for column in COLUMNS[table])
        key = json.dumps([suitable[column] for column in KEYS[table]], ensure_ascii=False)
        return PlantedRow(row, key, kind, field)


def quotas(plan: SamplePlan, dirty: float) -> dict[str, int]:
    """How many bad rows each table gets, so that they are the fraction `dirty` of all rows."""
    good = plan.expected_rows()
    part = dirty / (1 - dirty)
    shares = {table: round(count * part) for table, count in good.items()}
    raised = {table: max(share, len(PLACES[table])) for table, share in shares.items()}
    excess = sum(raised.values()) - sum(shares.values())
    if raised[SCORES] - excess < len(PLACES[SCORES]):
        return shares  # too few for every kind
    return raised | {SCORES: raised[SCORES] - excess}


def _places() -> dict[str, list[tuple[Kind, str]]]:
    places: dict[str, list[tuple[Kind, str]]] = {table: [] for table in COLUMNS}
    for kind in KINDS.values():
        for table, field in kind.places:
            places[table].append((kind, field))
    return places


PLACES = _places()
"""For each table, the kinds of bad rows that it can have and the field that each spoils."""


def _rename(table: str, row: RowDict, seed: int, number: int) -> None:
    """Give a copy fresh unique values, next to the original in key order so that bad rows lie among good ones."""
    bits = int(hashes(seed, f"planted/{table}", number)[0])
    key = KEYS[table][-1]
    old = row[key] or ""
    if table == SCORES:
        row[key] = f"txn_{9 * 10**14 + bits % 10**14:015d}"
    elif key == "id" and len(old) == 36 and old[14] == "4":
        row[key] = uuids(seed, f"planted/{table}", number)[0]
    else:
        row[key] = f"{old.rpartition('-')[0]}-{bits & 0xFFFFFFFFFF:010x}"
    if table == "investigation_templates":
        row["twin_id"], row["twin_name"] = old, row["name"]
        row["name"] = f"{row['name']} ({number})"
    elif table == "composio_connections":
        row["connection_id"] = f"conn_{bits:016x}"
