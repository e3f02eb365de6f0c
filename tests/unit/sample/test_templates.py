"""Templates: unique names a user, both ways of writing tags."""

from __future__ import annotations

import json

from tests.unit.sample.test_investigations import as_dicts
from workbench.sample.plan import SamplePlan
from workbench.sample.templates import template_rows

ROWS = as_dicts("investigation_templates", template_rows(SamplePlan(scale=2, seed=42)))


def test_names_are_unique_and_documents_are_objects() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) == 300
    assert all(isinstance(json.loads(row["template_json"] or ""), dict) for row in ROWS)


def test_tags_are_commas_in_older_rows_and_json_lists_in_newer_ones() -> None:
    older, newer = [
        [row["tags"] for row in ROWS if row["tags"] and (str(row["created_at"]) < "2026-05-01") == old]
        for old in (True, False)
    ]
    assert older
    assert newer
    assert all(not tags.startswith("[") for tags in older[:100])
    assert all(isinstance(json.loads(tags), list) for tags in newer[-100:])
    assert {row["tags"] for row in ROWS} > {"", None}


def test_unused_templates_were_never_used() -> None:
    assert all((row["usage_count"] == "0") or row["last_used"] for row in ROWS)
