"""What verification runs found, kept in the target: for `--resume`, `--since-run`, and the gates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.database import Database

from workbench.errors import ConfigurationError
from workbench.verification.results import TableResult, VerificationResult

RUNS = "verification_runs"
MAX_WRONG_BUCKETS = 20_000
LAST = "last"


def begin(database: Database[Any], run_id: str, started_at: datetime, arguments: dict[str, Any]) -> None:
    """Record that a run has begun."""
    database[RUNS].insert_one({"_id": run_id, "started_at": started_at, "state": "started", "arguments": arguments})


def save_table(database: Database[Any], run_id: str, result: TableResult) -> None:
    """Record what was found out about one table, with the fingerprints of the data that was seen."""
    stored = result.as_dict()
    if len(result.wrong_buckets) > MAX_WRONG_BUCKETS:
        stored["wrong_buckets"] = []  # too many to repeat one by one: all are checked again
    database[RUNS].update_one({"_id": run_id}, {"$set": {f"tables.{result.table}": stored}})


def finish(database: Database[Any], result: VerificationResult) -> None:
    """Record that a run has ended, and how."""
    facts = {name: value for name, value in result.as_dict().items() if name not in ("tables", "started_at")}
    database[RUNS].update_one({"_id": result.run_id}, {"$set": {"state": "done", **facts}})


def finished_tables(database: Database[Any], run_id: str) -> dict[str, TableResult]:
    """The tables that a run finished.

    Args:
        run_id: of the run, or `last` for the newest.

    Raises:
        ConfigurationError: there is no such run.
    """
    found = last_run(database) if run_id == LAST else database[RUNS].find_one({"_id": run_id})
    if found is None:
        raise ConfigurationError(f"There is no verification run {run_id!r} in this target.", todo="Verify once first.")
    return {name: TableResult.from_dict(stored) for name, stored in (found.get("tables") or {}).items()}


def last_run(database: Database[Any], *, state: str | None = None) -> dict[str, Any] | None:
    """The newest run, or the newest in a state."""
    return database[RUNS].find_one({"state": state} if state else {}, sort=[("started_at", -1)])
