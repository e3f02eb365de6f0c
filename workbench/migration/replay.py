"""Load quarantined rows that were mended in the source, or that a rule now accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import bson
import psycopg
from pymongo.database import Database
from pymongo.errors import PyMongoError

from workbench import connections, faults
from workbench.errors import ConfigurationError, MigrationError
from workbench.migration import extract, fence, load, settlement
from workbench.migration.build import Encoded, Rejected, build_batch
from workbench.migration.ledger import DURABLE, Ledger
from workbench.migration.quarantine import GONE, LOADED, OPEN, WAIVED, Quarantine
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import RULES
from workbench.migration.tables.table import Table
from workbench.models.document import resolve
from workbench.models.fields import derive_id
from workbench.models.spec import Kind
from workbench.settings import Settings
from workbench.similarity.embedder import embedder_for

_CHUNK_ROWS = 500
_MAX_RESTARTS = 5
_BY = "replay"
Entries = list[dict[str, Any]]


@dataclass
class ReplayedTable:
    """What became of one table's open entries: loaded, gone from the source, or still bad."""

    table: str
    examined: int = 0
    loaded: int = 0
    gone: int = 0
    still_open: int = 0


@dataclass(frozen=True)
class ReplayResult:
    """What a replay did. `accepted` are the rules that it made valid for its tables."""

    tables: tuple[ReplayedTable, ...]
    accepted: tuple[str, ...]

    @property
    def loaded(self) -> int:
        """Rows that are documents now."""
        return sum(table.loaded for table in self.tables)

    @property
    def still_open(self) -> int:
        """Rows that still need a decision."""
        return sum(table.still_open for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """As reports and JSON show it."""
        return {"accepted": list(self.accepted), "tables": [asdict(table) for table in self.tables]}


def replay(
    settings: Settings,
    *,
    tables: Iterable[str] | None = None,
    reason: str | None = None,
    accept: Sequence[str] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
) -> ReplayResult:
    """Examine open entries again, by the source's present rows, and load what can be loaded.

    Args:
        settings: both servers.
        tables: only these source tables.
        reason: only entries with this reason.
        accept: names of `RULES`; each is valid for the tables with such entries from now on, in migrations too.
        on_progress: called with table, entries examined, entries in all.

    Side effects: writes documents, the quarantine, the ledger. Idempotent; a killed replay is finished by the next
    one or by the next migration.

    Raises:
        ConfigurationError: a table or a rule is unknown.
        MigrationError: a migration into this target is running.
        UnavailableError: a server cannot be reached.
    """
    names = list(TABLES if tables is None else tables)
    _require_known("table", names, TABLES)
    _require_known("rule", accept, RULES)
    report = on_progress or (lambda table, done, total: None)
    with (
        extract.open_snapshot(settings, None) as source,
        # As in the worker: a time series would keep a batch that the driver sends twice.
        connections.open_target(settings, bulk=True, retryWrites=False) as client,
    ):
        fence.claim(source, settings, lambda note: None)
        try:
            database = client[settings.mongodb_database]
            settlement.finish(Quarantine(database), Ledger(database))
            done = [
                _Replay(settings, source, database, TABLES[name], accept, report).run(entries)
                for name in TABLES
                if name in names and (entries := Quarantine(database).entries(tables=[name], reason=reason))
            ]
        except PyMongoError as error:
            raise connections.translate_target_error(error) from None  # the error may quote documents
    return ReplayResult(tuple(done), tuple(accept))


def _require_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(f"Unknown {what} {', '.join(unknown)}.", todo=f"Choose from: {', '.join(known)}.")


class _Replay:
    """The replay of one table."""

    def __init__(
        self,
        settings: Settings,
        source: psycopg.Connection[Any],
        database: Database[Any],
        table: Table,
        accept: Sequence[str],
        report: Callable[[str, int, int], None],
    ) -> None:
        self.settings, self.source, self.database, self.table = settings, source, database, table
        self.ledger, self.quarantine = Ledger(database), Quarantine(database)
        self.sharded = connections.is_sharded(database.client)
        concern = DURABLE if self.sharded else None  # as in the worker
        self.collection = database.get_collection(table.collection.name, write_concern=concern)
        self.embedder = embedder_for(settings) if table.collection.vector else None
        self.report = report
        for rule in accept:
            self.ledger.accept_rule(table.name, rule)
        self.rules = self.ledger.rules(table.name)

    def run(self, entries: Entries) -> ReplayedTable:
        """Examine the table's entries, a chunk at a time."""
        result = ReplayedTable(self.table.name)
        for chunk in _chunks(entries):
            for _ in range(_MAX_RESTARTS):
                incarnation = connections.server_incarnation(self.database.client)
                documents, rejected, gone = self._load(chunk)
                self.ledger.barrier()
                if connections.server_incarnation(self.database.client) == incarnation:
                    break
            else:
                raise MigrationError("The target restarted again and again.", todo="Look into its log.")
            faults.reach("replay.loaded")
            refused = {derive_id(self.table.name, *self.table.row_key(item.row)) for item in rejected}
            loaded = [item.id for item in documents if item.id not in refused]
            settlement.settle(self.quarantine, self.ledger, loaded, LOADED, _BY)
            settlement.settle(self.quarantine, self.ledger, gone, GONE, _BY)
            self.quarantine.keep_open(self.table, rejected)
            result.examined += len(chunk)
            result.loaded += len(loaded)
            result.gone += len(gone)
            result.still_open += len(rejected)
            self.report(self.table.name, result.examined, len(entries))
        return result

    def _load(self, chunk: Entries) -> tuple[list[Encoded], list[Rejected], list[Any]]:
        """The documents that were made, the rows that are still bad, and the ids of entries without a row."""
        keys = [tuple(entry["key"]) for entry in chunk]
        rows = extract.select_by_key(self.source, self.table, keys, self.settings)
        present = {derive_id(self.table.name, *self.table.row_key(row)) for row in rows}
        documents, rejected = build_batch(self.table, rows, self.embedder, self.rules)
        if self.table.collection.kind is Kind.TIME_SERIES:
            self._clear(documents)
            written = load.insert(self.collection, documents, sharded=self.sharded)
        else:
            written = load.upsert(self.collection, documents, sharded=self.sharded)
        return documents, rejected + written.rejected, [e["_id"] for e in chunk if e["_id"] not in present]

    def _clear(self, documents: Sequence[Encoded]) -> None:
        """Delete what a killed replay inserted: a time series has no unique key that would refuse it twice."""
        (path,) = self.table.collection.natural_key
        keys = [resolve(bson.decode(item.raw, self.collection.codec_options), path) for item in documents]
        query: dict[str, Any] = {path: {"$in": keys}}
        if keys and self.collection.find_one(query, {"_id": 1}) is not None:
            self.collection.delete_many({**query, "provenance.table": self.table.name})


def _chunks(entries: Entries) -> Iterator[Entries]:
    for start in range(0, len(entries), _CHUNK_ROWS):
        yield entries[start : start + _CHUNK_ROWS]


def waive(settings: Settings, ids: Sequence[Any], by: str) -> int:
    """Decide that open rows stay behind; the number of entries that changed.

    Args:
        ids: `_id`s of entries.
        by: who decided, for the record.
    """
    with connections.open_target(settings) as client:
        quarantine = Quarantine(client[settings.mongodb_database])
        still_open = [entry["_id"] for entry in quarantine.collection.find({"_id": {"$in": list(ids)}, "state": OPEN})]
        return quarantine.settle(still_open, WAIVED, by)
