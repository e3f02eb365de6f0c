"""What a real MongoDB refuses and the embedded server lets pass, as a command listener.

PyMongo swallows what a listener raises, so violations are collected here and the fixture `strict_mongodb` raises them
at the end of the test that made them. Sources: MongoDB manual, time-series limitations; reference/limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import DatetimeMS
from pymongo import monitoring

from workbench.models import COLLECTIONS

MAX_DEPTH = 100
MAX_INDEXES = 64
_SPAN_FIELDS = ("bucketMaxSpanSeconds", "bucketRoundingSeconds")


class StrictMongoDB(monitoring.CommandListener):
    """Collects one sentence for each command that a real server would have refused."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._time_fields = {
            spec.name: spec.time_series.time_field for spec in COLLECTIONS.values() if spec.time_series
        }

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        name = command.get(event.command_name)
        try:
            problems = self._problems(event.command_name, name, command)
        except Exception as error:
            problems = [f"could not be judged: {error!r}"]
        self.violations += [f"{event.command_name} {name}: {problem}" for problem in problems]

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to check."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to check."""

    def _problems(self, verb: str, name: Any, command: Mapping[str, Any]) -> list[str]:
        time_field = self._time_fields.get(name) if isinstance(name, str) else None
        in_transaction = "startTransaction" in command or command.get("autocommit") is False
        match verb:
            case "create":
                return self._create(str(name), command)
            case "insert":
                problems = [p for document in command["documents"] for p in _document(document, time_field)]
                return problems + (
                    ["insert into a time series in a transaction"] if time_field and in_transaction else []
                )
            case "update":
                problems = [
                    p
                    for update in command["updates"]
                    if isinstance(update["u"], Mapping)
                    for p in _document(update["u"], None)
                ]
                return problems + (["updates of time series are refused"] if time_field else [])
            case "findAndModify":
                return ["findAndModify on a time series is refused"] if time_field else []
            case "delete":
                return ["delete from a time series in a transaction"] if time_field and in_transaction else []
            case "createIndexes":
                return _indexes(command, time_field)
            case "distinct":
                return ["distinct on a time series scans every bucket; use $group"] if time_field else []
            case "renameCollection":
                renamed = str(name).split(".", 1)[-1]
                return ["a time series cannot be renamed before 9.0"] if renamed in self._time_fields else []
            case "collMod":
                return ["validators are refused on time series"] if time_field and "validator" in command else []
            case "aggregate":
                return self._aggregate(command, time_field)
        return []

    def _create(self, name: str, command: Mapping[str, Any]) -> list[str]:
        options = command.get("timeseries")
        if not options:
            self._time_fields.pop(name, None)
            return []
        self._time_fields[name] = options["timeField"]
        problems = []
        if options.get("granularity", "seconds") not in ("seconds", "minutes", "hours"):
            problems.append("unknown granularity")
        spans = [options[field] for field in _SPAN_FIELDS if field in options]
        if spans and ("granularity" in options or len(spans) != 2 or spans[0] != spans[1]):
            problems.append("bucket span and rounding must be equal and without granularity")
        if "validator" in command:
            problems.append("validators are refused on time series")
        return problems

    def _aggregate(self, command: Mapping[str, Any], time_field: str | None) -> list[str]:
        problems = []
        for stage in command.get("pipeline", []):
            if "$changeStream" in stage and time_field:
                problems.append("change streams are refused on time series")
            merge = stage.get("$merge")
            into = merge.get("into") if isinstance(merge, Mapping) else merge
            if into in self._time_fields:
                problems.append("$merge into a time series is refused")
        return problems


def _document(document: Mapping[str, Any], time_field: str | None) -> list[str]:
    problems = []
    if time_field and not isinstance(document.get(time_field), (datetime, DatetimeMS)):
        problems.append(f"the time field {time_field} must be a date")
    if isinstance(document.get("_id"), (list, tuple)):
        problems.append("_id must not be an array")
    if _depth(document) > MAX_DEPTH:
        problems.append(f"nested deeper than {MAX_DEPTH} levels")
    return problems


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, Mapping):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend((child, depth + 1) for child in item)
        else:
            continue
        deepest = max(deepest, depth)
    return deepest


def _indexes(command: Mapping[str, Any], time_field: str | None) -> list[str]:
    problems = ["more than 64 indexes"] if len(command["indexes"]) > MAX_INDEXES else []
    for index in command["indexes"]:
        if time_field and index.get("unique"):
            problems.append("unique indexes are refused on time series")
        if time_field and "text" in index["key"].values():
            problems.append("text indexes are refused on time series")
    return problems
