"""Equal values have one canonical form however they are spelled or typed; different values never share one."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import Code, Int64
from bson.binary import OLD_UUID_SUBTYPE, UUID_SUBTYPE, Binary
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from workbench.verification.canonical import (
    ABSENT,
    Kind,
    canonical,
    decimal_text,
    digest,
    json_form,
    same,
    show,
    show_timestamp,
)

ID = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAME: list[tuple[Kind, Any, Any]] = [
    (Kind.INTEGER, 5, Int64(5)),
    (Kind.INTEGER, 5, 5.0),
    (Kind.DOUBLE, 1.0, 1),
    (Kind.NUMERIC, Decimal("1.50"), Decimal128("1.50")),
    (Kind.NUMERIC, Decimal("1e45"), Decimal128("1E+45")),
    (Kind.NUMERIC, Decimal("NaN"), Decimal128("NaN")),
    (Kind.UUID, UUID(ID), ID.upper()),
    (Kind.UUID, UUID(ID), Binary(UUID(ID).bytes, UUID_SUBTYPE)),
    (Kind.DOUBLE, math.nan, -math.nan),
    (Kind.TIMESTAMP, NOON, int(NOON.timestamp()) * 1_000_000 - 946_684_800_000_000),
    (Kind.TIMESTAMP, NOON, NOON.astimezone(timezone(timedelta(hours=5)))),
    (Kind.TIMESTAMP, NOON, "2026-01-01 12:00:00"),
    (Kind.TIMESTAMP, math.inf, "infinity"),
    (Kind.JSON, '{"a": 1, "b": [1.0, null]}', {"b": [1.0, None], "a": Int64(1)}),
    (Kind.JSON, "1e2", 100.0),
    (Kind.JSON, "0.10", 0.1),
    (Kind.JSON, "0.1000000000000000000001", Decimal128("0.1000000000000000000001")),
    (Kind.JSON, str(2**63), Decimal128(str(2**63))),
    (Kind.JSON, str(10**60), Decimal(10**60)),
    (Kind.JSON, "1" * 5000, Decimal("1" * 5000)),
    (Kind.JSON, '"\\u00e9"', '"é"'),
]
DIFFERENT: list[tuple[Kind, Any, Any]] = [
    (Kind.TEXT, "", None),
    (Kind.TEXT, "1", 1),
    (Kind.TEXT, "é", "e\u0301"),
    (Kind.INTEGER, 1, True),
    (Kind.INTEGER, 1, 1.5),
    (Kind.DOUBLE, 0.1, math.nextafter(0.1, 1)),
    (Kind.DOUBLE, 0.0, -0.0),
    (Kind.DOUBLE, 1.0, "1.0"),
    (Kind.NUMERIC, Decimal("0.1"), Decimal("0.10000000000000000001")),
    (Kind.NUMERIC, Decimal("1.50"), Decimal128("1.5")),
    (Kind.NUMERIC, Decimal("100"), Decimal128("1E+2")),
    (Kind.JSON, "1", 1.0),
    (Kind.JSON, "1.0", Int64(1)),
    (Kind.JSON, '{"a": [1]}', {"a": [Decimal128("1")]}),
    (Kind.JSON, "0.5", Decimal128("0.5")),
    (Kind.BOOLEAN, True, 1),
    (Kind.TIMESTAMP, 0, 1),
    (Kind.TIMESTAMP, "infinity", "-infinity"),
    (Kind.JSON, '{"a": null}', "{}"),
    (Kind.JSON, "null", None),
    (Kind.JSON, "", None),
    (Kind.JSON, "", '""'),
    (Kind.JSON, "[1, 2]", "[2, 1]"),
    (Kind.JSON, "1", '"1"'),
    (Kind.JSON, "true", "1"),
    (Kind.JSON, "[[]]", "[{}]"),
    (Kind.JSON, '{"a": 1', '{"a": 1}'),
    (Kind.UUID, ID, None),
    (Kind.UUID, ID, b"no uuid"),
    (Kind.UUID, ID, Binary(UUID(ID).bytes, OLD_UUID_SUBTYPE)),
    (Kind.UUID, ID, Binary(UUID(ID).bytes[:-1], UUID_SUBTYPE)),
    (Kind.JSON, '"x"', Code("x")),
    (Kind.TEXT, None, ABSENT),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("kind", "one", "other"), SAME)
def test_one_value_in_two_forms_is_the_same(kind: Kind, one: Any, other: Any) -> None:
    assert same(canonical(kind, one), canonical(kind, other))


@pytest.mark.parametrize(("kind", "one", "other"), DIFFERENT)
def test_two_values_are_different(kind: Kind, one: Any, other: Any) -> None:
    assert not same(canonical(kind, one), canonical(kind, other))
    assert digest(canonical(kind, one)) != digest(canonical(kind, other))


@given(json_values)
def test_json_does_not_depend_on_spelling(value: Any) -> None:
    spelled = json.dumps(value, indent=2, sort_keys=True)
    if value is not None and value != "":
        assert same(canonical(Kind.JSON, spelled), canonical(Kind.JSON, value) if not isinstance(value, str) else value)


@given(json_values, json_values)
def test_two_json_values_are_the_same_exactly_if_their_forms_read_alike(one: Any, other: Any) -> None:
    first, second = json_form(one), json_form(other)
    assert same(first, second) == (repr(first) == repr(second))


@given(st.binary(min_size=16, max_size=16))
def test_a_decimal_is_read_as_the_driver_reads_it(bid: bytes) -> None:
    value = Decimal128.from_bid(bid)
    assert decimal_text(value) == str(value.to_decimal())


@pytest.mark.parametrize("text", ["0", "-0", "0E-6176", "1E+6111", "-1.50", "9" * 34, "9" * 34 + "E+6111", "1E-6176"])
def test_a_decimal_keeps_its_digits_and_its_scale(text: str) -> None:
    assert decimal_text(Decimal128(text)) == str(Decimal(text))


@given(st.decimals(allow_nan=False), st.integers(0, 20))
def test_trailing_zeros_of_a_numeric_count(value: Decimal, zeros: int) -> None:
    if not value.is_finite():
        return
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    longer = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
    assert (canonical(Kind.NUMERIC, value) == canonical(Kind.NUMERIC, longer)) == (zeros == 0)


@given(st.text() | st.binary() | st.floats() | st.none() | st.lists(st.integers()), st.sampled_from(list(Kind)))
def test_nothing_that_is_stored_can_make_it_fail(value: Any, kind: Kind) -> None:
    digest(canonical(kind, value))


def test_json_of_any_depth_does_not_fail() -> None:
    assert canonical(Kind.JSON, "[" * 100_000)[0] == "malformed"


def test_a_secret_is_never_shown() -> None:
    token = "enc:gAAAAA-secret"
    assert "secret #" in show(token, secret=True)
    assert "gAAAAA" not in show(token, secret=True)
    assert show(token, secret=True) != show(f"{token}x", secret=True)
    assert show(None, secret=True) == "NULL"


def test_values_are_shown_for_people() -> None:
    assert show(canonical(Kind.JSON, '{"b": [1.50], "a": null}')) == '{"a": null, "b": [1.5]}'
    assert show("") == "(empty text)"
    assert show(ABSENT) == "(absent)"
    assert len(show("x" * 10_000)) == 120
    assert show_timestamp(1) == "2000-01-01T00:00:00.000001+00:00"
    assert show_timestamp(10**18) == "1000000000000000000 microseconds since 2000"
    assert show_timestamp("infinity") == "infinity"
