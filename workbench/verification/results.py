"""What a verification found, as data: checks by table, mismatches by cause, one result with many forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

from workbench.errors import WorkbenchError
from workbench.verification.findings import Check, Cluster, Mismatch

if TYPE_CHECKING:
    import pandas as pd  # takes longer to import than a worker process takes to start

SPEED_GOAL = 2.0
"""How many times as fast as the load counts and fields should be."""
Status = Literal["passed", "failed", "skipped"]


class MismatchesFound(WorkbenchError):
    """The two sides differ; `result` holds how."""

    exit_code = 1

    def __init__(self, result: VerificationResult) -> None:
        self.result = result
        wrong = ", ".join(table.table for table in result.tables if not table.passed)
        super().__init__(f"Verification found {result.mismatches:,} mismatches in {wrong}.", todo="See the report.")


@dataclass(frozen=True)
class CheckResult:
    """One check of one table.

    Attributes:
        examined: how much was looked at, in the unit that `note` names.
        bound: with 95 % confidence at most this fraction is wrong; 0 where everything was looked at.
    """

    table: str
    check: Check
    status: Status
    examined: int = 0
    wrong: int = 0
    note: str = ""
    seconds: float = 0.0
    bound: float = 0.0


@dataclass(frozen=True)
class TableResult:
    """All that was found out about one table and its collection.

    Attributes:
        rows: rows of the source that were read.
        documents: documents of the target that were read.
        quarantined: rows that are expected to be missing in the target.
        wrong_buckets: buckets whose fingerprints differed, for a later run that re-checks only these.
        compared: rows that were compared field by field.
        source_fingerprint: sum over all rows, equal to the target's if every field of every row is.
    """

    table: str
    collection: str
    rows: int
    documents: int
    quarantined: int
    checks: tuple[CheckResult, ...]
    clusters: tuple[Cluster, ...] = ()
    buckets: int = 0
    wrong_buckets: tuple[int, ...] = ()
    source_fingerprint: str = ""
    target_fingerprint: str = ""
    seconds: float = 0.0
    note: str = ""
    compared: int = 0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {**_plain(asdict(self)), "passed": self.passed}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The result that `as_dict` stored."""
        values = {name: value for name, value in stored.items() if name != "passed"}
        values["checks"] = tuple(CheckResult(**{**check, "check": Check(check["check"])}) for check in values["checks"])
        values["clusters"] = tuple(_cluster(cluster) for cluster in values["clusters"])
        values["wrong_buckets"] = tuple(values["wrong_buckets"])
        return cls(**values)


def _cluster(stored: Mapping[str, Any]) -> Cluster:
    examples = tuple(Mismatch(**{**example, "check": Check(example["check"])}) for example in stored["examples"])
    return Cluster(**{**stored, "check": Check(stored["check"]), "examples": examples})


@dataclass(frozen=True)
class SampleBound:
    """What a look at a sample allows to say.

    Attributes:
        sampled: rows that were compared.
        population: rows that are there.
        wrong: rows of the sample that differ.
        upper_bound: with this confidence at most this fraction of all rows differs (Clopper-Pearson).
    """

    sampled: int
    population: int
    wrong: int
    upper_bound: float
    confidence: float = 0.95

    def __str__(self) -> str:
        rows = self.upper_bound * self.population
        return (
            f"{self.sampled:,} of {self.population:,} rows compared, {self.wrong:,} differ: with "
            f"{self.confidence:.0%} confidence at most {self.upper_bound:.3%} of the rows (about {rows:,.0f}) differ"
        )


@dataclass(frozen=True)
class VerificationResult:
    """The outcome of a verification, in whatever form is wanted.

    Attributes:
        compare_seconds: wall-clock seconds of counts and fields alone.
        load_rate: rows a second of the migration's load; 0 where no run of it is known.
    """

    run_id: str
    started_at: datetime
    seconds: float
    tables: tuple[TableResult, ...]
    sample: SampleBound | None = None
    notes: tuple[str, ...] = field(default=())
    compare_seconds: float = 0.0
    load_rate: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether something was checked, and no check of any table failed."""
        return bool(self.tables) and all(table.passed for table in self.tables)

    @property
    def mismatches(self) -> int:
        """Number of mismatches over all tables and checks."""
        return sum(cluster.count for cluster in self.clusters)

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """The mismatches by cause, the most frequent first."""
        found = [cluster for table in self.tables for cluster in table.clusters]
        return tuple(sorted(found, key=lambda cluster: -cluster.count))

    @property
    def rows(self) -> int:
        """Rows of the source that were read."""
        return sum(table.rows for table in self.tables)

    @property
    def documents(self) -> int:
        """Documents of the target that were read."""
        return sum(table.documents for table in self.tables)

    @property
    def compared(self) -> int:
        """Rows that were compared field by field."""
        return sum(table.compared for table in self.tables)

    @property
    def rows_per_second(self) -> float:
        """Rows verified in a second, all checks together."""
        return self.compared / self.seconds if self.seconds else 0.0

    @property
    def compare_rate(self) -> float:
        """Rows a second of counts and fields alone, which read all of both sides; 0 for a sample."""
        whole = self.compare_seconds and not self.sample and self.is_complete
        return self.compared / self.compare_seconds if whole else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every row outside quarantine was compared."""
        return self.compared >= self.rows - sum(table.quarantined for table in self.tables)

    def speed(self) -> str:
        """The rate of counts and fields against that of the load; empty where one of them is not known."""
        if not self.compare_rate or not self.load_rate:
            return ""
        ratio = self.compare_rate / self.load_rate
        return (
            f"counts and fields: {self.compare_rate:,.0f} rows/s, {ratio:.1f} times the {self.load_rate:,.0f} rows/s "
            f"of the load (goal: at least {SPEED_GOAL:g} times)"
        )

    def raise_for_mismatches(self) -> None:
        """Raise if anything differs.

        Raises:
            MismatchesFound: with this result as its attribute `result`.
        """
        if self.mismatches:
            raise MismatchesFound(self)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {
            "run_id": self.run_id,
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "passed": self.passed,
            "mismatches": self.mismatches,
            "rows": self.rows,
            "documents": self.documents,
            "compared": self.compared,
            "rows_per_second": round(self.rows_per_second, 1),
            "compare_rows_per_second": round(self.compare_rate, 1),
            "load_rows_per_second": round(self.load_rate, 1),
            "sample": asdict(self.sample) if self.sample else None,
            "notes": list(self.notes),
            "tables": [table.as_dict() for table in self.tables],
        }

    def text(self) -> str:
        """The result for a terminal: a line a table, then the causes with examples."""
        lines = [
            f"{'✔' if table.passed else '✖'} {table.table:<26} {table.rows:>11,} rows {table.documents:>11,} documents "
            f"{table.quarantined:>7,} quarantined  " + " ".join(_mark(check) for check in table.checks)
            for table in self.tables
        ]
        for cluster in self.clusters:
            lines += [f"\n{cluster}", *(f"  {example}" for example in cluster.examples)]
        lines += ["", *(f"note: {note}" for note in self.notes)]
        lines += [f"note: {table.table}: {table.note}" for table in self.tables if table.note]
        if self.sample:
            lines.append(str(self.sample) + ".")
        lines += [f"{self.speed()}."] if self.speed() else []
        rate = f"{self.compared:,} rows in {self.seconds:.1f} s ({self.rows_per_second:,.0f} rows/s)"
        found = "no mismatch" if self.passed else _mismatches(self.mismatches) if self.tables else "nothing was checked"
        lines.append(f"{'PASSED' if self.passed else 'FAILED'}: {found}; {rate}; run {self.run_id}")
        return "\n".join(line for line in lines)

    def checks_frame(self) -> pd.DataFrame:
        """A line for each table and check: table, check, status, examined, wrong, seconds, note."""
        return _frame((check for table in self.tables for check in table.checks), CheckResult)

    def tables_frame(self) -> pd.DataFrame:
        """A line a table: rows, documents, quarantined, mismatches, seconds, rows_per_second."""
        return _table(
            [
                {
                    "table": table.table,
                    "rows": table.rows,
                    "documents": table.documents,
                    "quarantined": table.quarantined,
                    "mismatches": sum(cluster.count for cluster in table.clusters),
                    "seconds": round(table.seconds, 2),
                    "rows_per_second": round(table.compared / table.seconds) if table.seconds else 0,
                }
                for table in self.tables
            ],
            ["table", "rows", "documents", "quarantined", "mismatches", "seconds", "rows_per_second"],
        )

    def coverage_frame(self) -> pd.DataFrame:
        """A line a table: rows that were compared field by field, that are in quarantine, and that were left out."""
        lines = [
            {
                "table": table.table,
                "compared": table.compared,
                "quarantined": table.quarantined,
                "not_compared": max(0, table.rows - table.quarantined - table.compared),
            }
            for table in self.tables
        ]
        return _table(lines, ["table", "compared", "quarantined", "not_compared"])

    def rates_frame(self) -> pd.DataFrame:
        """A line a table: rows a second of the comparison of counts and fields alone."""
        lines = [
            {"table": check.table, "rows_per_second": table.compared / check.seconds}
            for table in self.tables
            for check in table.checks
            if check.check is Check.FIELDS and check.seconds > 0
        ]
        return _table(lines, ["table", "rows_per_second"])

    def headline(self) -> str:
        """One sentence about all of it."""
        about = f"{self.rows:,} rows against {self.documents:,} documents in {len(self.tables)} tables"
        if self.sample:
            return f"{self.sample}."
        if not self.tables:
            return "Nothing was checked."
        if not self.is_complete:
            about += f", of which {self.compared:,} rows were compared"
        return f"No mismatch: {about}." if self.passed else f"{_mismatches(self.mismatches)}: {about}."

    def clusters_frame(self) -> pd.DataFrame:
        """A line a cause: table, check, cause, count."""
        columns = ["table", "check", "cause", "count"]
        return _table([{name: getattr(c, name) for name in columns} for c in self.clusters], columns)

    def examples_frame(self) -> pd.DataFrame:
        """A line for each example that was kept, with table, cause, key, field, expected, found, side and check."""
        columns = ["table", "cause", "key", "field", "expected", "found", "side", "check"]
        return _table([asdict(example) for cluster in self.clusters for example in cluster.examples], columns)


def _mismatches(count: int) -> str:
    return f"{count:,} mismatch{'' if count == 1 else 'es'}"


def _mark(check: CheckResult) -> str:
    return f"{ {'passed': '✔', 'failed': '✖', 'skipped': '–'}[check.status] }{check.check}"


def _frame(items: Iterable[Any], kind: type[Any]) -> pd.DataFrame:
    return _table([asdict(item) for item in items], list(kind.__dataclass_fields__))


def _table(lines: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(lines, columns=columns)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value
