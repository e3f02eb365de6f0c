"""What the migration benchmark compares: the migration itself, its parts, its ceilings, and a plain script.

Each stage runs in a fresh process of its own (`measure`), so that its CPU time and memory are its alone. Stages with
worker processes start them before the clock: imports cost the same in each and say nothing about rows.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from os import getpid
from pathlib import Path
from typing import Any

import psutil
from bson import Decimal128, ObjectId
from bson.raw_bson import RawBSONDocument
from psycopg import sql
from psycopg.rows import dict_row
from pymongo import ReplaceOne

from workbench import schema
from workbench.connections import open_source, open_target
from workbench.migration import extract, load
from workbench.migration.build import build_batch
from workbench.migration.executors import local_processes
from workbench.migration.partition import plan_partitions, rows_each
from workbench.migration.pipeline import migrate
from workbench.migration.tables import TABLES
from workbench.settings import Settings
from workbench.similarity.embedder import embedder_for

_SAMPLE_SECONDS = 0.2
Tables = tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """What one stage did: rows, seconds between the clock's two readings, CPU seconds of all its processes."""

    rows: int
    seconds: float
    cpu_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """One run of one stage. `peak_bytes` is the resident memory of its largest process."""

    stage: str
    work: Work
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        """Rows in a second of wall time."""
        return self.work.rows / self.work.seconds

    @property
    def cpu_seconds_per_million(self) -> float:
        """CPU seconds of a million rows, of all processes of the stage; servers are not among them."""
        return self.work.cpu_seconds / self.work.rows * 1e6


def measure(stage: str, work: Callable[..., Work], *arguments: Any) -> Measurement:
    """Run a stage in a fresh process, and watch the memory of that process and all that it starts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        process = psutil.Process(pool.submit(getpid).result())
        peaks: list[int] = [0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process, peaks, done))
        watcher.start()
        try:
            result = pool.submit(work, *arguments).result()
        finally:
            done.set()
            watcher.join()
    return Measurement(stage, result, max(peaks))


def _watch(process: psutil.Process, peaks: list[int], done: threading.Event) -> None:
    ended = False
    while not ended:
        ended = done.wait(_SAMPLE_SECONDS)
        with contextlib.suppress(psutil.Error):
            peaks += [_peak_bytes(each) for each in (process, *process.children(recursive=True))]
            peaks[:] = [max(peaks)]


def _peak_bytes(process: psutil.Process) -> int:
    """The high-water mark of resident memory where the system tells it (Linux), else what is resident now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        return int(process.memory_info().rss)


class _Clock:
    """Wall and CPU seconds of this process and its children, from its making to `stop`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def stop(self, rows: int, **facts: Any) -> Work:
        return Work(rows, time.perf_counter() - self._wall, _cpu_seconds() - self._cpu, facts)


def _cpu_seconds() -> float:
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])  # user, system, and both of the children that have ended
    return total


# -- the stages -------------------------------------------------------------------------------------------------------


def copy_out(settings: Settings, tables: Tables) -> Work:
    """The ceiling of the source: COPY in binary, bytes thrown away."""
    with open_source(settings) as source, source.cursor() as cursor:
        clock, rows, size = _Clock(), 0, 0
        for table in tables:
            with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(sql.Identifier(table))) as copy:
                size += sum(map(len, copy))
            rows += cursor.rowcount
        return clock.stop(rows, bytes=size)


def encode(settings: Settings, tables: Tables, folder: Path) -> Work:
    """Rows to validated documents to BSON, in one process; reading the rows and keeping the result are not counted.

    Leaves a file for each partition in `folder/collection`: the documents one after another.
    """
    rows = 0
    seconds = cpu = 0.0
    with open_source(settings) as planning, extract.open_snapshot(settings, None) as source:
        for table in (TABLES[name] for name in tables):
            embedder = embedder_for(settings) if table.collection.vector else None
            place = folder / table.collection.name
            place.mkdir()
            count = extract.count_rows(planning, table)
            each = rows_each(count, at_most=settings.partition_rows, workers=settings.workers)
            for partition in plan_partitions(planning, table, rows=each):
                with (place / f"{partition.index:06d}").open("wb") as file:
                    for batch in extract.stream(source, table, partition, settings):
                        began, began_cpu = time.perf_counter(), time.process_time()
                        encoded, _ = build_batch(table, batch, embedder)
                        seconds += time.perf_counter() - began
                        cpu += time.process_time() - began_cpu
                        rows += len(batch)
                        file.writelines(item.raw for item in encoded)
    return Work(rows, seconds, cpu)


def insert_encoded(settings: Settings, tables: Tables, folder: Path) -> Work:
    """The ceiling of the target for inserts: documents that `encode` left, in the same batches, by as many workers."""
    return _write_encoded(settings, tables, folder, _insert_file)


def upsert_encoded(settings: Settings, tables: Tables, folder: Path) -> Work:
    """The same for upserts (`ReplaceOne`), onto a target that holds every second document already."""
    prefill(settings, tables, folder)
    return _write_encoded(settings, tables, folder, _upsert_file)


def repair(settings: Settings, tables: Tables, folder: Path) -> Work:
    """The migration onto a target that holds every second document already, and no ledger."""
    prefill(settings, tables, folder)
    return migration(settings, tables)


def migration(settings: Settings, tables: Tables) -> Work:
    """The migration itself; its seconds are those until the last row is accounted for, indexes are built after."""
    pool = _ready_workers(settings)
    clock = _Clock()
    result = migrate(settings, tables=tables, executor=lambda _: pool)
    work = clock.stop(result.counts.read, state=result.state.value, replaced=result.counts.replaced)
    errors = "; ".join(error for table in result.tables.values() for error in table.errors)[:500]
    facts = {
        **work.facts,
        "errors": errors,
        "quarantined": result.counts.quarantined,
        "elapsed_seconds": result.elapsed_seconds,
    }
    return Work(work.rows, result.load_seconds, work.cpu_seconds, facts)


def plain_script(settings: Settings, tables: Tables) -> Work:
    """The peer: fetch all rows as dicts, make documents, insert_many; no validation, random `_id`, one process."""
    clock, total = _Clock(), 0
    with open_source(settings) as source, open_target(settings, bulk=True) as client:
        for table in (TABLES[name] for name in tables):
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table.name))
            rows = source.cursor(row_factory=dict_row).execute(query).fetchall()
            documents: list[dict[str, Any]] = [{**row, "tenant_id": settings.default_tenant} for row in rows]
            for name in [column.name for column in table.columns if column.kind == "numeric"]:
                for document in documents:  # the driver refuses Decimal; everything else stays as PostgreSQL gave it
                    document[name] = None if document[name] is None else Decimal128(document[name])
            client[settings.mongodb_database][table.collection.name].insert_many(documents)
            total += len(rows)
    return clock.stop(total)


# -- encoded documents ------------------------------------------------------------------------------------------------


def prefill(settings: Settings, tables: Tables, folder: Path) -> None:
    """Make the target hold every second document, and nothing else."""
    _prepare(settings, tables)
    with open_target(settings, bulk=True) as client:
        for collection, path in _files(tables, folder):
            documents = list(_documents(path))[::2]
            client[settings.mongodb_database][collection].insert_many(documents, ordered=False)


def _write_encoded(
    settings: Settings, tables: Tables, folder: Path, write: Callable[[Settings, str, Path], int]
) -> Work:
    _prepare(settings, tables)
    with _ready_workers(settings) as pool:
        clock = _Clock()
        futures = [pool.submit(write, settings, collection, path) for collection, path in _files(tables, folder)]
        return clock.stop(sum(future.result() for future in futures))


def _prepare(settings: Settings, tables: Tables) -> None:
    """The collections and indexes that the migration makes before it loads."""
    specs = [TABLES[name].collection for name in tables]
    with open_target(settings, bulk=True) as client:
        database = client[settings.mongodb_database]
        schema.apply(database, schema.plan(database, settings, phase=schema.Phase.LOAD, collections=specs))


def _insert_file(settings: Settings, collection: str, path: Path) -> int:
    return _write_file(settings, collection, path, load.insert_encoded)


def _upsert_file(settings: Settings, collection: str, path: Path) -> int:
    def upsert(target: Any, batch: Sequence[RawBSONDocument]) -> None:
        replacements: list[ReplaceOne[Any]] = [
            ReplaceOne({"_id": _id_of(document)}, document, upsert=True) for document in batch
        ]
        target.bulk_write(replacements, ordered=False)

    return _write_file(settings, collection, path, upsert)


def _write_file(settings: Settings, collection: str, path: Path, write: Callable[[Any, Any], object]) -> int:
    written = 0
    with open_target(settings, bulk=True, retryWrites=False) as client:  # as the migration does
        documents = _documents(path)
        while batch := list(islice(documents, settings.batch_rows)):
            write(client[settings.mongodb_database][collection], batch)
            written += len(batch)
    return written


def _files(tables: Tables, folder: Path) -> list[tuple[str, Path]]:
    names = [TABLES[name].collection.name for name in tables]
    return [(name, path) for name in names for path in sorted((folder / name).iterdir())]


def _documents(path: Path) -> Iterator[RawBSONDocument]:
    content, start = path.read_bytes(), 0
    while start < len(content):
        end = start + int.from_bytes(content[start : start + 4], "little")
        yield RawBSONDocument(content[start:end])
        start = end


def _id_of(document: RawBSONDocument) -> ObjectId:
    return ObjectId(bytes(document.raw[9:21]))  # length, type and name of the first field, `_id`, take 9 bytes


def _ready_workers(settings: Settings) -> Executor:
    """A pool whose processes have started and imported everything."""
    pool = local_processes(settings)
    while (
        len({future.result() for future in [pool.submit(_wake) for _ in range(2 * settings.workers)]})
        < settings.workers
    ):
        pass
    return pool


def _wake() -> int:
    """The worker's process id. To receive this function it imports this module, and with it all that it needs."""
    time.sleep(_SAMPLE_SECONDS)  # long enough for every worker to take its share
    return getpid()
