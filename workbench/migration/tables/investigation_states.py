"""investigation_states -> investigations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.migration.tables.columns import Fields, Instant, Integer, JsonText, Notes, RowProblem, Text
from workbench.migration.tables.table import Table
from workbench.models.investigations import COLLECTION, Results

_RESULTS = tuple(Results.model_fields)


@dataclass(frozen=True)
class ProgressJson(JsonText):
    """progress_json holds where the investigation stands and what it found: two sub-documents in the target."""

    def load(self, value: str | None, fields: Fields, notes: Notes) -> None:
        progress = self.parse(value, notes)
        if progress is not None and not isinstance(progress, dict):
            raise RowProblem(self.name, "dict_type", "expected a JSON object")
        fields["progress"], fields["results"] = progress, None
        if progress:
            fields["progress"] = {name: item for name, item in progress.items() if name not in _RESULTS}
            fields["results"] = {name: progress[name] for name in _RESULTS if name in progress} or None

    def value(self, document: Mapping[str, Any], notes: Notes) -> dict[str, Any] | None:
        progress = document["progress"]
        return None if progress is None else {**progress, **(document["results"] or {})}


TABLE = Table(
    collection=COLLECTION,
    key=("investigation_id",),
    columns=(
        Text("investigation_id"),
        Text("user_id"),
        Text("lifecycle_stage"),
        JsonText("settings_json", "settings"),
        ProgressJson("progress_json", "progress"),
        Text("status"),
        Integer("version"),
        Instant("created_at"),
        Instant("updated_at"),
        Instant("last_accessed"),
    ),
    user="t.user_id",
)
