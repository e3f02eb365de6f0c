"""Copies of tables and collections for the writes, the vectors in PostgreSQL, views without the rows in quarantine.

A copy has the indexes and rules of its original and some of its rows, so that a write costs about what it costs there.

The real data is never written to. The name of everything made here begins with `workbench_benchmark`; it is dropped
when the block ends, also by an error or Ctrl-C, and leftovers of a killed run are dropped at the next start. A lock
in PostgreSQL keeps two benchmarks from running at once: they would measure each other.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from pymongo.database import Database

from workbench.benchmark.draws import Draws
from workbench.benchmark.quarantined import Keys, create_views, drop_views
from workbench.benchmark.workloads.base import SCRATCH, Workload, scratch_name
from workbench.connections import open_source, open_target
from workbench.errors import ConfigurationError
from workbench.models import COLLECTIONS
from workbench.models.spec import Collection
from workbench.settings import Settings
from workbench.similarity.embedder import embedder_for, from_binary

Json: TypeAlias = dict[str, Any]
Say: TypeAlias = Callable[[str], None]

_FILLED = {"investigations": ("investigation", "investigation_id"), "anomaly_events": ("anomaly", "anomaly_id")}
"""Copies whose documents are updated: the pool of draws whose rows they must hold, and its key."""
_BATCH = 1_000


@contextlib.contextmanager
def scratch(
    settings: Settings,
    workloads: Sequence[Workload],
    draws: Draws,
    *,
    rows: int = 1_000,
    quarantined: Keys | None = None,
    say: Say = lambda text: None,
) -> Iterator[dict[str, str]]:
    """Make what the workloads need beside the real data, and drop it at the end of the block.

    Args:
        settings: of both databases.
        workloads: those that will run.
        draws: the rows that updates will be about.
        rows: of each original that its copy begins with, beside those.
        quarantined: rows that the views of `quarantined.VIEWS` leave out; there are none where there is no row.
        say: is told what is being done.

    Returns:
        Name of a workload -> why it cannot run here, for those that cannot.

    Raises:
        ConfigurationError: another benchmark is running.
    """
    with open_source(settings, autocommit=True) as connection, open_target(settings, bulk=True) as client:
        database = client[settings.mongodb_database]
        with exclusive(connection):
            _drop(connection, database)
            try:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCRATCH)))
                for name in sorted({workload.writes_to for workload in workloads} - {""}):
                    say(f"copying {name}")
                    _copy_table(connection, settings, COLLECTIONS[name], draws, rows)
                    _copy_collection(database, COLLECTIONS[name], draws, rows)
                if quarantined:
                    create_views(connection, settings, quarantined)
                searches = [workload for workload in workloads if workload.needs_vectors]
                if searches:
                    say("copying the vectors to PostgreSQL")
                reason = _copy_vectors(connection, database, settings, draws) if searches else ""
                yield {workload.name: reason for workload in searches if reason}
            finally:
                _drop(connection, database)


@contextlib.contextmanager
def exclusive(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the benchmark's lock in PostgreSQL; the server gives it up when the connection ends.

    Raises:
        ConfigurationError: another benchmark holds it.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [SCRATCH]).fetchone()
    if not (row and row[0]):
        raise ConfigurationError(
            "Another benchmark is running on this PostgreSQL.", todo="Wait for its end: two would measure each other."
        )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [SCRATCH])


def _drop(connection: psycopg.Connection[Any], database: Database[Json]) -> None:
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCRATCH)))
    drop_views(connection)
    for name in database.list_collection_names():
        if name.startswith(f"{SCRATCH}_"):
            database.drop_collection(name)


def _copy_table(
    connection: psycopg.Connection[Any], settings: Settings, spec: Collection, draws: Draws, rows: int
) -> None:
    source = sql.Identifier(settings.source_schema, spec.source_table)
    copy = sql.Identifier(SCRATCH, spec.source_table)
    connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy, source))
    if spec.name in _FILLED:
        pool, key = _FILLED[spec.name]
        column = sql.Identifier("id" if spec.name == "anomaly_events" else key)
        connection.execute(
            sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE {} = ANY(%s)").format(copy, source, column),
            [[row[key] for row in draws.rows(pool)]],
        )
    connection.execute(
        sql.SQL("INSERT INTO {} SELECT * FROM {} LIMIT %s ON CONFLICT DO NOTHING").format(copy, source), [rows]
    )
    connection.execute(sql.SQL("ANALYZE {}").format(copy))


def _copy_collection(database: Database[Json], spec: Collection, draws: Draws, rows: int) -> None:
    original = database[spec.name]
    found = next(database.list_collections(filter={"name": spec.name}), None)
    if found is None:
        raise ConfigurationError(f"The target has no collection {spec.name}.", todo="Run `workbench migrate` first.")
    stored = database.create_collection(scratch_name(spec.name), **found["options"])
    for name, index in original.index_information().items():
        if name != "_id_":
            options = {option: value for option, value in index.items() if option not in ("key", "v", "ns")}
            stored.create_index(index["key"], name=name, **options)
    drawn: list[Json] = []
    if spec.name in _FILLED:
        pool, key = _FILLED[spec.name]
        drawn = documents_of(database, spec, draws.rows(pool), key)
    have = {document["_id"] for document in drawn}
    others = (document for document in original.find(limit=rows, batch_size=_BATCH) if document["_id"] not in have)
    documents = itertools.chain(drawn, others)
    while batch := list(itertools.islice(documents, _BATCH)):
        stored.insert_many(batch, ordered=False)


def documents_of(database: Database[Json], spec: Collection, rows: Iterable[Mapping[str, Any]], key: str) -> list[Json]:
    """The documents that stand for drawn rows, one point read each; those that were quarantined are missing."""
    found = (database[spec.name].find_one({spec.tenant_path: row["tenant_id"], key: row[key]}) for row in rows)
    return [document for document in found if document]


def _copy_vectors(
    connection: psycopg.Connection[Any], database: Database[Json], settings: Settings, draws: Draws
) -> str:
    """Why vectors cannot be searched, or nothing. Streams: memory does not grow with their number."""
    available = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
    if not available:
        return "PostgreSQL has no extension vector"
    try:
        # In the scratch schema, so that it goes with it; where it is installed already it stays where it is.
        connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS vector SCHEMA {}").format(sql.Identifier(SCRATCH)))
    except psycopg.errors.InsufficientPrivilege:
        return "this user may not install PostgreSQL's extension vector"
    home = connection.execute(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    assert home is not None  # noqa: S101 - it was created above
    table = sql.Identifier(SCRATCH, "anomaly_embeddings")
    connection.execute(
        sql.SQL("CREATE TABLE {} (anomaly_id uuid PRIMARY KEY, severity text, embedding {}.vector)").format(
            table, sql.SQL(home[0])
        )
    )
    model = embedder_for(settings).name
    events = database["anomaly_events"].find(
        {"tenant_id": draws.tenant, "embedding_model": model},
        {"_id": 0, "anomaly_id": 1, "severity": 1, "embedding": 1},
        batch_size=_BATCH,
    )
    rows = 0
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
        for event in events:
            numbers = from_binary([event["embedding"]])[0].tolist()
            copy.write_row((event["anomaly_id"], event["severity"], f"[{','.join(map(repr, numbers))}]"))
            rows += 1
    connection.execute(sql.SQL("ANALYZE {}").format(table))
    return "" if rows else f"no anomaly has a vector of the model {model}"
