"""Source -> document -> BSON -> source is the identity, for generated values of every type that the ten tables use."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rows import ROWS, canonical_json, differences, objects, spell
from workbench.migration.build import build_batch
from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import ESCAPE_KEYS, KEEP_UNREADABLE_JSON, JsonText, Notes
from workbench.models.document import bson_value

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
RELAXED = settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def through_bson(table_name: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row that the stored document of a row stands for."""
    table = TABLES[table_name]
    documents, rejected = build_batch(table, [row], None)
    assert not rejected, rejected[0].problem
    return table.restore(bson.decode(documents[0].raw, CODEC))


@pytest.mark.parametrize("name", TABLES)
def test_every_legal_row_comes_back(name: str) -> None:
    @RELAXED
    @given(ROWS[name])
    def check(row: tuple[Any, ...]) -> None:
        table = TABLES[name]
        assert differences(table, through_bson(name, row), row[: len(table.columns)]) == {}

    check()


def through_column(text: str | None, *rules: str) -> tuple[str | None, Any]:
    """A JSON text through one column and BSON: the text that comes back, and the stored value."""
    column = JsonText("evidence")
    fields: dict[str, Any] = {}
    notes = Notes(rules=frozenset(rules))
    column.load(text, fields, notes)
    document = bson.decode(bson.encode({"evidence": bson_value(fields["evidence"])}), CODEC)
    return column.dump(document, notes), document["evidence"]


@pytest.mark.parametrize("levels", [0, 20, 42])
def test_deep_nesting_comes_back(levels: int) -> None:
    text = '{"a":[' * levels + "1e400" + "]}" * levels
    restored, _ = through_column(text)
    assert restored is not None
    assert canonical_json(restored) == canonical_json(text)


@RELAXED
@given(st.dictionaries(st.sampled_from(["a.b", "$set", "plain", ".", "x.$y"]), objects, min_size=1))
def test_escaped_keys_come_back_under_the_rule(value: dict[str, Any]) -> None:
    text = spell(value)
    restored, stored = through_column(text, ESCAPE_KEYS)
    assert restored is not None
    assert canonical_json(restored) == canonical_json(text)
    assert not any("." in key or key.startswith("$") for key in stored)


@RELAXED
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_comes_back_under_the_rule_for_unreadable_json(text: str) -> None:
    restored, _ = through_column(text, KEEP_UNREADABLE_JSON)
    assert restored is not None
    assert restored == text or canonical_json(restored) == canonical_json(text)
