"""What verification runs found, kept in the target: for `--resume`, `--since-run`, waivers and the gates.

A run is `started`, then `done`, or `interrupted` where an error or Ctrl-C ended it. One that was killed stays
`started`: it is dead if its process is, or if another machine has not heard of it for `SILENT_SECONDS`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from workbench.errors import ConfigurationError
from workbench.models.fields import utc_now
from workbench.verification.results import TableResult, VerificationResult

RUNS = "verification_runs"
MAX_WRONG_BUCKETS = 20_000
LAST = "last"
SILENT_SECONDS = 600
BEAT_SECONDS = 15


def begin(database: Database[Any], run_id: str, started_at: datetime, arguments: dict[str, Any]) -> None:
    """Record that a run has begun, and which process it is."""
    database[RUNS].insert_one(
        {
            "_id": run_id,
            "started_at": started_at,
            "state": "started",
            "arguments": arguments,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "alive_at": utc_now(),
        }
    )


def beat(database: Database[Any], run_id: str) -> None:
    """Record that a run is alive."""
    database[RUNS].update_one({"_id": run_id}, {"$set": {"alive_at": utc_now()}})


def save_table(database: Database[Any], run_id: str, result: TableResult) -> None:
    """Record what was found out about one table, with the fingerprints of the data that was seen."""
    stored = result.as_dict()
    if len(result.wrong_buckets) > MAX_WRONG_BUCKETS:
        stored["wrong_buckets"] = []  # too many to repeat one by one: all are checked again
    change = {f"tables.{result.table}": stored, "alive_at": utc_now()}
    database[RUNS].update_one({"_id": run_id}, {"$set": change})


def finish(database: Database[Any], result: VerificationResult) -> None:
    """Record that a run has ended, and how."""
    facts = {name: value for name, value in result.as_dict().items() if name not in ("tables", "started_at")}
    database[RUNS].update_one({"_id": result.run_id}, {"$set": {"state": "done", **facts}})


def interrupt(database: Database[Any], run_id: str) -> None:
    """Record that a run ended before its end."""
    database[RUNS].update_one({"_id": run_id}, {"$set": {"state": "interrupted"}})


def save_gates(database: Database[Any], run_id: str, gates: Sequence[dict[str, Any]]) -> None:
    """Record how the gates were judged, so that a waiver can name what it is for."""
    database[RUNS].update_one({"_id": run_id}, {"$set": {"gates": list(gates)}})


def last_gates(database: Database[Any]) -> tuple[str, list[dict[str, Any]]]:
    """The newest run whose gates were judged, and its gates.

    Raises:
        ConfigurationError: there is no such run.
    """
    found = database[RUNS].find_one({"gates": {"$exists": True}}, sort=[("started_at", -1)])
    if found is None:
        raise ConfigurationError("No gates were judged in this target yet.", todo="Run `workbench verify` first.")
    return str(found["_id"]), list(found["gates"])


def finished_tables(database: Database[Any], run_id: str) -> dict[str, TableResult]:
    """The tables that a run finished.

    Args:
        run_id: of the run, or `last` for the newest that came to its end.

    Raises:
        ConfigurationError: there is no such run.
    """
    found = last_run(database, state="done") if run_id == LAST else database[RUNS].find_one({"_id": run_id})
    if found is None:
        raise ConfigurationError(f"There is no verification run {run_id!r} in this target.", todo="Verify once first.")
    return {name: TableResult.from_dict(stored) for name, stored in (found.get("tables") or {}).items()}


def to_resume(database: Database[Any], arguments: dict[str, Any]) -> tuple[dict[str, TableResult], str]:
    """The finished tables of the newest run, if it was interrupted and looked at least as closely as this one.

    Args:
        arguments: of the present run. The tables may be others; all else must be the same.

    Returns:
        The tables, and a note why nothing is taken over where that is so.
    """
    last = last_run(database)
    if last is None or last["state"] == "done":
        return {}, ""
    if is_alive(last):
        return {}, f"run {last['_id']} is still going on ({last['host']}, process {last['process']}): it is left alone"
    earlier = last.get("arguments") or {}
    other = sorted(name for name, value in arguments.items() if name != "tables" and earlier.get(name) != value)
    if other:
        return {}, f"the interrupted run {last['_id']} had other {', '.join(other)}: all tables are verified anew"
    return finished_tables(database, last["_id"]), ""


def is_alive(run: dict[str, Any]) -> bool:
    """Whether a run that has not ended may still be going on."""
    if run["state"] != "started" or "process" not in run:
        return False
    if run["host"] == socket.gethostname():
        return run["process"] != os.getpid() and _runs(run["process"])
    return bool(utc_now() - run["alive_at"] < timedelta(seconds=SILENT_SECONDS))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def last_run(database: Database[Any], *, state: str | None = None) -> dict[str, Any] | None:
    """The newest run, or the newest in a state."""
    return database[RUNS].find_one({"state": state} if state else {}, sort=[("started_at", -1)])
