"""One table through all levels of the verification."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from pymongo.database import Database

from workbench.migration.ledger import Ledger
from workbench.migration.partition import plan_partitions
from workbench.migration.tables import TABLES
from workbench.models.spec import Kind
from workbench.settings import Settings
from workbench.verification.accounts import Excluded, compare_accounts, excluded_rows
from workbench.verification.aggregates import compare_aggregates
from workbench.verification.compare import examine, groups_of
from workbench.verification.embeddings import Embeddings, judge_embeddings
from workbench.verification.findings import Check, Findings
from workbench.verification.fingerprints import Fingerprints, buckets_for, merged
from workbench.verification.forms import forms_of
from workbench.verification.references import REFERENCES, ValueCounts, compare_references, compare_versions
from workbench.verification.results import CheckResult, Status, TableResult
from workbench.verification.sampling import compare_sample
from workbench.verification.scan import (
    NO_OBJECT_IDS,
    SourcePart,
    TargetPart,
    source_fingerprints,
    target_fingerprints,
)
from workbench.verification.structure import compare_structure

Progress = Callable[[str, int], None]
"""Called with a table and the number of rows and documents that were just read."""
_IN_REFERENCES = tuple(dict.fromkeys(name for one in REFERENCES for name in (one.table, one.to_table)))
_ORDER = list(Check)


@dataclass
class Context:
    """What all tables of a verification share.

    Attributes:
        source: a connection that sees the snapshot; worker processes see the same by its name.
        sample: about how many rows are compared in all; 0 for every row.
        emulated: the target has no index for ranges of `_id`.
        sizes: rows of each table that is verified.
        values: of the fields that references use.
    """

    settings: Settings
    database: Database[Any]
    source: psycopg.Connection[Any]
    snapshot: str
    checks: frozenset[Check]
    sample: int
    seed: int
    emulated: bool
    on_progress: Progress
    sizes: dict[str, int] = field(default_factory=dict)
    _excluded: dict[str, Excluded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = ValueCounts(self.database)

    @property
    def workers(self) -> int:
        """Worker processes; 1 is this process."""
        return 1 if self.sample else min(self.settings.workers, self.settings.max_source_connections - 1)

    def excluded(self, table: str) -> Excluded:
        """The rows of a table that are in quarantine."""
        if table not in self._excluded:
            self._excluded[table] = excluded_rows(self.database, table)
        return self._excluded[table]


class TableRun:
    """One table while it is verified.

    Attributes:
        sampled: rows of the sample, and how many of them are wrong.
        source_futures: fingerprints that worker processes make; empty where this process does.
        embeddings: what a worker process finds out about them; None where this process does.
        compared_at: when levels 1 and 2 were done, on the clock `time.perf_counter`.
    """

    def __init__(self, context: Context, name: str, earlier: TableResult | None) -> None:
        self.context, self.name, self.earlier = context, name, earlier
        self.spec = TABLES[name].collection
        self.forms = forms_of(name, context.settings)
        self.findings = Findings(name)
        self.excluded = context.excluded(name)
        self.buckets = earlier.buckets if earlier and earlier.buckets else buckets_for(context.sizes[name])
        self.source_parts, self.target_parts = self._parts()
        self.source_futures: list[Future[Fingerprints]] = []
        self.target_futures: list[Future[Fingerprints]] = []
        self.embeddings: Future[Embeddings] | None = None
        self.compared_at = 0.0
        self.sampled = (0, 0)
        self._compared = 0
        self._asked_seconds = 0.0
        self._rows = self._documents = self._skipped = 0
        self._wrong: tuple[int, ...] = ()
        self._fingerprints = ("", "")
        self._notes: list[str] = []
        self._checks: list[CheckResult] = []

    @property
    def known_buckets(self) -> tuple[int, ...]:
        """The buckets that an earlier run found wrong, which alone are looked at."""
        return self.earlier.wrong_buckets if self.earlier else ()

    @property
    def _ranges_are_cheap(self) -> bool:
        return self.spec.kind is Kind.STANDARD and not self.context.emulated

    def _parts(self) -> tuple[list[SourcePart], list[TargetPart]]:
        context, rows = self.context, self.context.sizes[self.name]
        source = SourcePart(context.settings, self.name, self.buckets, self.excluded.ids, context.snapshot)
        target = TargetPart(context.settings, self.name, self.buckets)
        least = context.settings.batch_rows
        if context.workers < 2 or rows <= 2 * least:
            return [source], [target]
        partitions = plan_partitions(context.source, TABLES[self.name], rows=max(least, rows // context.workers + 1))
        sources = [replace(source, partition=partition) for partition in partitions]
        return sources, _ranges(target, context.workers) if self._ranges_are_cheap else [target]

    def note_time(self, future: Future[Fingerprints]) -> None:
        """Called when a worker process has read a part."""
        self.compared_at = time.perf_counter()

    @property
    def is_ready(self) -> bool:
        """Whether no worker process is busy with it."""
        futures: list[Future[Any]] = [*self.source_futures, *self.target_futures]
        return all(future.done() for future in futures) and (self.embeddings is None or self.embeddings.done())

    def wait(self) -> None:
        """Wait until no worker process is busy with it; what went wrong there is raised later."""
        futures: list[Future[Any]] = [*self.source_futures, *self.target_futures]
        wait([*futures, self.embeddings] if self.embeddings else futures)

    def ask(self) -> None:
        """Run the checks that the databases answer themselves, while worker processes read the rows."""
        began, checks, sample = time.perf_counter(), self.context.checks, self.context.sample
        if Check.AGGREGATES in checks and not sample:
            self._check(Check.AGGREGATES, self._aggregates)
        if Check.REFERENCES in checks and not sample:
            self._check(Check.REFERENCES, self._references)
        self._asked_seconds = time.perf_counter() - began

    def to_end(self) -> TableResult:
        """Run the checks that read rows, and those that need their results."""
        began, checks, sample = time.perf_counter(), self.context.checks, self.context.sample
        if checks & {Check.COUNTS, Check.FIELDS}:
            if sample:
                self._compare_sample()
            elif self.earlier and self.known_buckets:
                self._compare_again(self.earlier)
            else:
                self._compare_all()
        self.compared_at = self.compared_at or time.perf_counter()
        if Check.STRUCTURE in checks:
            self._structure()
        if Check.LEDGER in checks:
            self._check(Check.LEDGER, self._accounts)
        self._checks.sort(key=lambda result: _ORDER.index(result.check))
        return TableResult(
            self.name, self.spec.name, self._rows, self._documents, len(self.excluded.ids), tuple(self._checks),
            self.findings.clusters(), self.buckets, self._wrong, *self._fingerprints,
            seconds=time.perf_counter() - began + self._asked_seconds, note="; ".join(filter(None, self._notes)),
            compared=self._compared,
        )  # fmt: skip

    def _check(self, check: Check, compare: Callable[[], tuple[int, str]]) -> None:
        began = time.perf_counter()
        examined, note = compare()
        self._record(check, examined, note, time.perf_counter() - began)

    def _record(self, check: Check, examined: int, note: str, seconds: float, bound: float = 0.0) -> None:
        wrong = self.findings.count(check)
        status: Status = "failed" if wrong else "passed" if examined else "skipped"
        self._checks.append(CheckResult(self.name, check, status, examined, wrong, note, seconds, bound))

    # -- levels 1 and 2 -------------------------------------------------------------------------------------------

    def _compare_all(self) -> None:
        source, found = self._both_fingerprints()
        began = time.perf_counter() - source.seconds - found.seconds
        self._rows, self._documents, self._skipped = source.rows + source.skipped, found.rows, source.skipped
        self._fingerprints = (source.total, found.total)
        self._compared = source.rows
        self._wrong = tuple(source.differing(found))
        self._examine(groups_of(self._wrong, lambda bucket: source.counts[bucket] + found.counts[bucket]))
        self._record_levels(time.perf_counter() - began)

    def _compare_again(self, earlier: TableResult) -> None:
        """Only the buckets that an earlier run found wrong."""
        began = time.perf_counter()
        average = (earlier.rows + earlier.documents) / max(1, earlier.buckets)
        self._compared = self._examine(groups_of(earlier.wrong_buckets, lambda bucket: average))
        still = self.findings.count(Check.COUNTS, Check.FIELDS)
        self._wrong = earlier.wrong_buckets if still else ()
        self._rows = self.context.sizes[self.name]
        self._documents = self.context.database[self.spec.name].count_documents({})
        self._notes.append(
            f"only the {len(earlier.wrong_buckets):,} of {earlier.buckets:,} buckets that were wrong: "
            f"{self._compared:,} rows"
        )
        self._record_levels(time.perf_counter() - began)

    def _record_levels(self, seconds: float) -> None:
        self._record(Check.COUNTS, max(self._rows, self._documents, 1), "", 0.0)
        compared = len(self.forms.fields) * max(1, self._compared)
        self._record(Check.FIELDS, compared, f"{self.buckets:,} buckets, {len(self._wrong):,} differ", seconds)

    def _examine(self, groups: list[frozenset[int]]) -> int:
        whole = replace(self.target_parts[0], ids=None)
        compared, note = examine(
            self.forms, self.source_parts, whole, groups, self.findings, ranges_are_cheap=self._ranges_are_cheap
        )
        self._notes.append(note)
        return compared

    def _both_fingerprints(self) -> tuple[Fingerprints, Fingerprints]:
        if self.source_futures:
            return (
                merged(self._results(self.source_futures), self.buckets),
                merged(self._results(self.target_futures), self.buckets),
            )

        def read(count: int) -> None:
            self.context.on_progress(self.name, count)

        return (
            merged((source_fingerprints(part, read) for part in self.source_parts), self.buckets),
            merged((target_fingerprints(part, read) for part in self.target_parts), self.buckets),
        )

    def _results(self, futures: list[Future[Fingerprints]]) -> Iterable[Fingerprints]:
        for future in futures:
            result = future.result()
            self.context.on_progress(self.name, result.rows + result.skipped)
            yield result

    def _compare_sample(self) -> None:
        began, context = time.perf_counter(), self.context
        self._rows = context.sizes[self.name]
        self._documents = context.database[self.spec.name].count_documents({})
        wanted = max(1, round(context.sample * self._rows / max(1, sum(context.sizes.values()))))
        self.sampled = compare_sample(
            context.source, context.database, self.forms, rows=self._rows, wanted=wanted, seed=context.seed,
            excluded=self.excluded.ids, findings=self.findings,
        )  # fmt: skip
        self._compared = self.sampled[0]
        expected = self._rows - len(self.excluded.ids)
        if expected != self._documents:
            self.findings.add(Check.COUNTS, "counts differ", expected=f"{expected:,}", found=f"{self._documents:,}")
        context.on_progress(self.name, self.sampled[0])
        self._record(Check.COUNTS, max(self._rows, 1), "", 0.0)
        self._record(Check.FIELDS, self.sampled[0], "sampled rows", time.perf_counter() - began)

    # -- levels 3 to 5 --------------------------------------------------------------------------------------------

    def _aggregates(self) -> tuple[int, str]:
        return compare_aggregates(
            self.context.source,
            self.context.database,
            table=TABLES[self.name],
            settings=self.context.settings,
            excluded=self.excluded.keys,
            rows=self.context.sizes[self.name],
            values=self.context.values,
            rules=Ledger(self.context.database).rules(self.name),
            findings=self.findings,
        )

    def _references(self) -> tuple[int, str]:
        context = self.context
        keys = {table: context.excluded(table).keys for table in _IN_REFERENCES}
        examined = compare_references(context.source, context.values, self.name, keys, self.findings)
        if self.name == "investigation_audit_log":
            examined += compare_versions(context.source, context.database, self.excluded.keys, self.findings)
        return examined, "" if examined else "nothing to check: this table refers to no other"

    def _structure(self) -> None:
        context, began = self.context, time.perf_counter()
        examined, note = compare_structure(context.database, self.spec, context.settings, self.findings)
        bound = 0.0
        if self.spec.vector and not context.sample:
            found = (
                self.embeddings.result()
                if self.embeddings
                else judge_embeddings(context.database, self.name, context.settings, context.seed)
            )
            self.findings.merge(found.findings)
            examined, bound = examined + found.examined, found.bound
            note = "; ".join(filter(None, (note, found.note)))
        self._record(Check.STRUCTURE, examined, note, time.perf_counter() - began, bound)

    def _accounts(self) -> tuple[int, str]:
        counted = bool(self._fingerprints[0])
        return compare_accounts(
            self.context.database,
            self.name,
            rows=self._rows if counted else None,
            documents=self._documents if counted else None,
            findings=self.findings,
        )


def _ranges(part: TargetPart, count: int) -> list[TargetPart]:
    """A collection in ranges of `_id`, about equally large, because an `_id` is a hash; and what has another `_id`."""
    step = (1 << 96) // count
    edges = [(index * step).to_bytes(12, "big") for index in range(count)]
    ends: list[bytes | None] = [*edges[1:], None]
    ranges = [replace(part, ids=(edge, end)) for edge, end in zip(edges, ends, strict=True)]
    return [*ranges, replace(part, ids=NO_OBJECT_IDS)]
