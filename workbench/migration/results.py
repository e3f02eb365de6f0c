"""What a migration tells its caller: progress while it runs, then what became of each table and of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from workbench.migration.ledger import Counts, Ledger, Seconds, State
from workbench.migration.tables import TABLES


@dataclass(frozen=True)
class Progress:
    """What the caller may show while a migration runs.

    Attributes:
        stage: `rows` while partitions are loaded, `schema` while indexes are built.
        done: rows or steps that are done, of `total`.
        note: a sentence worth a line of its own, or empty.
    """

    stage: Literal["rows", "schema"]
    done: int
    total: int
    note: str = ""


@dataclass
class TableResult:
    """What became of one table: the sum of its partitions, beside PostgreSQL's own count of its rows.

    Attributes:
        surplus: migrated documents whose row the source no longer has; None where it was not asked.
        running: its run has not ended, or was killed.
        pruned: how many of them this run deleted.
        missing: documents that an earlier run wrote and that are no longer there.
    """

    table: str
    source_rows: int = 0
    counts: Counts = field(default_factory=Counts)
    seconds: Seconds = field(default_factory=Seconds)
    partitions: int = 0
    done: int = 0
    retries: int = 0
    paused: bool = False
    running: bool = False
    surplus: int | None = None
    pruned: int = 0
    missing: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every partition is done, every row of the source accounted for, and no document gone since."""
        done = self.done == self.partitions and not self.errors and not self.missing
        return done and self.counts.balanced and self.counts.read == self.source_rows

    def as_dict(self) -> dict[str, Any]:
        """As the ledger and the reports show it."""
        return {
            "table": self.table,
            "source_rows": self.source_rows,
            "written": self.counts.written,
            **asdict(self.counts),
            **{f"{stage}_seconds": seconds for stage, seconds in asdict(self.seconds).items()},
            "partitions": self.partitions,
            "done": self.done,
            "retries": self.retries,
            "paused": self.paused,
            "surplus": self.surplus,
            "pruned": self.pruned,
            "missing": self.missing,
            "complete": self.complete,
            "errors": list(self.errors),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The result that `as_dict` gave to the ledger."""
        names = ("table", "source_rows", "partitions", "done", "retries", "paused", "errors")
        seconds = {stage.name: stored[f"{stage.name}_seconds"] for stage in fields(Seconds)}
        later = {name: stored[name] for name in ("surplus", "pruned", "missing") if name in stored}
        return cls(
            **{name: stored[name] for name in names}, **later, counts=Counts.of(stored), seconds=Seconds(**seconds)
        )


@dataclass(frozen=True)
class MigrationResult:
    """What became of a run."""

    run_id: str
    dry_run: bool
    tables: dict[str, TableResult]
    elapsed_seconds: float
    load_seconds: float
    schema_seconds: float

    @property
    def complete(self) -> bool:
        """Whether every table is complete."""
        return all(table.complete for table in self.tables.values())

    @property
    def counts(self) -> Counts:
        """The sum over the tables."""
        return sum((table.counts for table in self.tables.values()), Counts())

    @property
    def surplus(self) -> int:
        """Migrated documents whose row is gone and that this run left."""
        return sum((table.surplus or 0) - table.pruned for table in self.tables.values())

    @property
    def missing(self) -> int:
        """Documents that an earlier run wrote and that are no longer there."""
        return sum(table.missing for table in self.tables.values())

    @property
    def sentence(self) -> str:
        """What became of the rows, and what to do if not all is well."""
        began = "Dry run: nothing was written." if self.dry_run else f"Run {self.run_id} is {self.state}."
        if self.complete:
            end = "every one accounted for."
        elif self.missing:
            end = f"but documents of an earlier run are gone ({self.missing:,}); recheck loads them again."
        else:
            end = "not every one accounted for; run it again to go on."
        return f"{began} {self.counts.read:,} rows read, {end}"

    @property
    def state(self) -> State:
        """The state of the run as the ledger has it."""
        if self.complete:
            return State.DONE
        return State.PAUSED if any(table.paused for table in self.tables.values()) else State.FAILED


def stored_results(ledger: Ledger) -> list[TableResult]:
    """What the ledger says of each table: its newest run, with the counts as its partitions have them now.

    A replay moves rows from the quarantine after that run, so the partitions know better than the run. Of a run that
    has not ended, or was killed, only the partitions that it has settled are counted.
    """
    newest: dict[str, TableResult] = {}
    run_ids: dict[str, str | None] = {}
    for run in ledger.runs.find({"results": {"$exists": True}}).sort("started_at", -1):
        for stored in run["results"]:
            if stored["table"] not in newest:
                newest[stored["table"]] = TableResult.from_dict(stored)
                run_ids[stored["table"]] = run["_id"] if run["state"] == State.STARTED else None
    for name, table in newest.items():
        fields = {"counts": 1, "state": 1, "run_id": 1, "error": 1}
        partitions = list(ledger.partitions.find({"table": name}, fields))
        settled = [item for item in partitions if run_ids[name] in (None, item.get("run_id"))]
        table.counts = sum(
            (Counts.of(item.get("counts")) for item in settled if item["state"] != State.STARTED), Counts()
        )
        table.partitions = len(partitions)
        table.done = sum(item["state"] == State.DONE for item in settled)
        if run_ids[name]:
            table.running = True
            table.errors += [f"{item['_id']}: {item['error']}" for item in settled if item["state"] == State.FAILED]
    return sorted(newest.values(), key=lambda table: list(TABLES).index(table.table))
