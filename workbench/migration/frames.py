"""A migration as tables for notebooks: what became of the rows, where the time went, what grew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import psycopg
import pymongo
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from workbench.migration.ledger import Ledger
from workbench.migration.profile import profile
from workbench.migration.quarantine import STATES, Quarantine
from workbench.migration.results import TableResult
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import rule_for

_SIZE_SECONDS = 10.0


def accounts(results: Iterable[TableResult]) -> pd.DataFrame:
    """One row a table: its account, partitions, and documents whose row is gone (surplus; pruned in this run).

    `missing` are documents that an earlier run wrote and that are gone. It and `pruned` are there only if any are.
    """
    frame = pd.DataFrame([result.as_dict() for result in results]).astype({"surplus": "Int64"})
    columns = ["table", "source_rows", "read", "written", "already_there", "quarantined", "partitions", "done"]
    rare = [name for name in ("pruned", "missing") if frame[name].any()]
    return frame[[*columns, "retries", "surplus", *rare, "complete"]]


def stages(results: Iterable[TableResult]) -> pd.DataFrame:
    """One row a stage: stage, seconds (of all workers together), rate (rows a second of one worker), ceiling.

    The stages of a worker follow one another, so the slowest is the ceiling of a whole worker. Partitions in which
    nothing had changed are left out: they have no building and loading.
    """
    loaded = [result for result in results if result.counts.written]
    rows = sum(result.counts.read for result in loaded)
    seconds = {name: sum(getattr(result.seconds, name) for result in loaded) for name in ("extract", "build", "load")}
    busy = {name: value for name, value in seconds.items() if value > 0}
    ceiling = min((rows / value for value in busy.values()), default=0.0)
    frame = [{"stage": name, "seconds": value, "rate": rows / value, "ceiling": None} for name, value in busy.items()]
    if busy:
        total = sum(busy.values())
        frame.append({"stage": "one worker, all stages", "seconds": total, "rate": rows / total, "ceiling": ceiling})
    return pd.DataFrame(frame, columns=["stage", "seconds", "rate", "ceiling"])


def partitions(database: Database[Any]) -> pd.DataFrame:
    """One row for each attempt of the newest run at a partition: table, partition, start, end, state, retries, read."""
    ledger = Ledger(database)
    run = ledger.last_run() or {}
    rows = [
        {
            "table": document["table"],
            "partition": document["index"],
            "start": attempt["started_at"],
            "end": attempt["ended_at"],
            "state": attempt["state"],
            "retries": max(0, len(document["history"]) - 1 - position) if attempt["state"] == "failed" else 0,
            "read": attempt["counts"]["read"],
        }
        for document in ledger.partitions.find().sort([("table", 1), ("index", 1)])
        for position, attempt in enumerate(document["history"])
        if attempt["run_id"] == run.get("_id")
    ]
    return pd.DataFrame(rows, columns=["table", "partition", "start", "end", "state", "retries", "read"])


def sizes(source: psycopg.Connection[Any], database: Database[Any]) -> pd.DataFrame:
    """One row a table: bytes of data and indexes before, in PostgreSQL, and after, in MongoDB (NaN where not told)."""
    frame = profile(source)
    before = frame.table_bytes + frame.index_bytes
    after = [_collection_bytes(database, TABLES[name].collection.name) for name in frame.table]
    return pd.DataFrame({"table": frame.table, "before": before, "after": after})


def _collection_bytes(database: Database[Any], name: str) -> float:
    """NaN where the server may not tell, or not soon: the embedded one reads every document for it."""
    try:
        with pymongo.timeout(_SIZE_SECONDS):
            stats = database.command("collStats", name)
    except PyMongoError as error:
        if isinstance(error, OperationFailure) or error.timeout:
            return float("nan")
        raise
    return float(stats.get("storageSize", 0) + stats.get("totalIndexSize", 0)) or float(stats.get("size", "nan"))


def causes(database: Database[Any], *, tables: Iterable[str] = (), examples: int = 3) -> pd.DataFrame:
    """One row a cause of open entries: table, field, reason, rows, examples (keys), message, rule that accepts it."""
    wanted = set(tables)
    rows = [
        {**cause, "examples": ", ".join(cause["examples"]), "rule": rule_for(cause["reason"])}
        for cause in Quarantine(database).causes(examples=examples)
        if not wanted or cause["table"] in wanted
    ]
    return pd.DataFrame(rows, columns=["table", "field", "reason", "rows", "examples", "message", "rule"])


def decisions(database: Database[Any]) -> pd.DataFrame:
    """One row a table with entries: how many are open, loaded, waived, gone."""
    pipeline = [{"$group": {"_id": {"table": "$table", "state": "$state"}, "rows": {"$sum": 1}}}]
    rows: dict[str, dict[str, Any]] = {}
    for group in Quarantine(database).collection.aggregate(pipeline):
        table = group["_id"]["table"]
        rows.setdefault(table, {"table": table, **dict.fromkeys(STATES, 0)})[group["_id"]["state"]] = group["rows"]
    return pd.DataFrame([rows[name] for name in TABLES if name in rows], columns=["table", *STATES])


def raw_rows(database: Database[Any], table: str, *, limit: int = 5) -> pd.DataFrame:
    """Columns of a table's first open rows as the source has them: key, reason, then the field that is bad."""
    entries = Quarantine(database).entries(tables=[table])[:limit]
    rows = [
        {
            "key": "/".join(entry["key"]),
            "reason": entry["reason"],
            "field": entry["field"],
            "message": entry["message"],
            "row": "; ".join(f"{name}={value}"[:120] for name, value in entry["row"].items() if value is not None),
        }
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=["key", "reason", "field", "message", "row"])
