"""soar_playbook_executions -> soar_playbook_executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from workbench.migration.tables.columns import (
    EPOCH,
    Fields,
    Instant,
    JsonText,
    Notes,
    RowProblem,
    Text,
    UuidText,
    to_micros,
)
from workbench.migration.tables.table import Table
from workbench.models.soar_playbook_executions import COLLECTION

_DATES = ("started_at", "completed_at")


@dataclass(frozen=True)
class Actions(JsonText):
    """A JSON list of actions whose dates become BSON dates; a date in another spelling than ours keeps its text."""

    def load(self, value: str | None, fields: Fields, notes: Notes) -> None:
        actions = self.parse(value, notes)
        for index, action in enumerate(actions if isinstance(actions, list) else ()):
            for name in _DATES if isinstance(action, dict) else ():
                if isinstance(action.get(name), str):
                    action[name] = self._date(action[name], f"{self.path}.{index}.{name}", notes)
        fields[self.path] = actions

    def value(self, document: Mapping[str, Any], notes: Notes) -> list[dict[str, Any]] | None:
        actions = document[self.path]
        if actions is None or self.path in notes.exact:
            return None
        return [
            {
                name: self._text(item, f"{self.path}.{index}.{name}", notes) if isinstance(item, datetime) else item
                for name, item in action.items()
            }
            for index, action in enumerate(actions)
        ]

    def dump(self, document: Mapping[str, Any], notes: Notes) -> str | None:
        others = Notes()
        others.exact = {path: text for path, text in notes.exact.items() if not self._is_date(path)}
        return self.text(self.value(document, notes), others)

    def _is_date(self, path: str) -> bool:
        """Whether it is a date of an action, rather than a field of the same name deeper in its result."""
        parts = path.removeprefix(self.path).split(".", 2)
        return len(parts) == 3 and parts[2] in _DATES

    def _date(self, text: str, path: str, notes: Notes) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the latter: a year below 1 or above 9999 in UTC
            raise RowProblem(path, "bad_date", "expected a date in ISO 8601, of the years 1 to 9999") from None
        micros = to_micros(moment)
        if _spelled(micros) != text:
            notes.exact[path] = text
        if micros % 1000:
            notes.micros[path] = micros % 1000
        return moment - timedelta(microseconds=micros % 1000)

    @staticmethod
    def _text(moment: datetime, path: str, notes: Notes) -> str:
        return notes.exact.get(path) or _spelled(to_micros(moment) + notes.micros.get(path, 0))


def _spelled(micros: int) -> str:
    moment = EPOCH + timedelta(microseconds=micros)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _duration(fields: Fields) -> None:
    started, completed = fields["started_at"], fields["completed_at"]
    fields["duration_ms"] = None
    if started is not None and completed is not None:
        fields["duration_ms"] = (completed - started) / timedelta(milliseconds=1)


TABLE = Table(
    collection=COLLECTION,
    key=("id",),
    columns=(
        Text("id", "execution_id"),
        Text("playbook_id"),
        Text("investigation_id"),
        UuidText("anomaly_id"),
        Text("tenant_id"),
        Text("trigger_reason"),
        Text("status"),
        Instant("started_at"),
        Instant("completed_at"),
        Actions("actions_executed"),
        Text("error_message"),
    ),
    has_tenant=True,
    derive=_duration,
)
