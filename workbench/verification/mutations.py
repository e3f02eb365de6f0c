"""The catalogue of corruptions that the verifier must find: data in, corrupted data out, no database.

A kind changes a value at a path of a document, or a document as a whole. Where it makes sense it has a second path,
into an element of an embedded array. The five positions are in `planting`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from bson import ObjectId
from bson.binary import VECTOR_SUBTYPE, Binary
from bson.decimal128 import Decimal128

Doc = dict[str, Any]
Change = Callable[[Any], Any]
"""A corrupted value for a value; `SAME` where the value cannot be corrupted in this way."""
DROP, SAME = object(), object()
NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True)
class Mutation:
    """One kind of corruption.

    Attributes:
        corrupt: the documents to store in place of one; None where this document cannot be corrupted so.
        field: path of the value that must be found wrong; empty for the document as a whole, found by counts.
        inside: the same in an element of an embedded array, perhaps of another collection.
        pair: corrupts two neighbours at once, given as a list.
        names_new: what must be found is the document that was added, not the one beside it.
    """

    name: str
    collection: str
    corrupt: Callable[[Any], list[Doc] | None]
    field: str = ""
    inside: Mutation | None = None
    pair: bool = False
    names_new: bool = False


def at(path: str, change: Change) -> Callable[[Doc], list[Doc] | None]:
    """A corruption of the value at a dotted path: numbers are positions in arrays, a slash is a dot within a name."""

    def corrupt(document: Doc) -> list[Doc] | None:
        document = copy.deepcopy(document)
        *parents, leaf = (name.replace("/", ".") for name in path.split("."))
        place: Any = document
        for name in parents:
            place = _child(place, name)
        before = _child(place, leaf)
        after = SAME if before is SAME else change(before)
        if after is SAME:
            return None
        where: Any = int(leaf) if isinstance(place, list) else leaf
        if after is DROP:
            del place[where]
            if parents[:2] == ["provenance", "micros"] and not place:
                del document["provenance"]["micros"]  # an empty note would show by itself
        else:
            place[where] = after
        return [document]

    return corrupt


def _child(place: Any, name: str) -> Any:
    if isinstance(place, list):
        return place[int(name)] if int(name) < len(place) else SAME
    return place.get(name, SAME) if isinstance(place, dict) else SAME


def whole(change: Callable[[Doc], list[Doc]]) -> Callable[[Doc], list[Doc] | None]:
    """A corruption of a document as a whole; the function gets a copy."""
    return lambda document: change(copy.deepcopy(document))


# -- values -------------------------------------------------------------------------------------------------------


def _if(kind: type | tuple[type, ...], change: Change) -> Change:
    """The change for values of a type other than bool, which Python takes for a number."""
    return lambda value: (
        change(value) if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else SAME
    )


def _text(change: Callable[[str], Any]) -> Change:
    return _if(str, lambda value: change(value) if value and change(value) != value else SAME)


def _date(**shift: float) -> Change:
    return _if(datetime, lambda value: value + timedelta(**shift))


def _array(change: Callable[[list[Any]], Any], least: int = 1) -> Change:
    return _if(list, lambda value: change(value) if len(value) >= least and change(value) != value else SAME)


def _object(change: Callable[[Doc], Any]) -> Change:
    return _if(dict, lambda value: change(value) if value else SAME)


def _without_first(value: Doc) -> Doc:
    return dict(list(value.items())[1:])


def _renamed(value: Doc) -> Doc:
    (name, first), *others = value.items()
    return {f"{name}_": first, **dict(others)}


def _look_alike(text: str) -> str:
    return text.replace("e", "\u0435", 1)  # Cyrillic


def _other_uuid(value: UUID) -> UUID:
    return uuid5(NAMESPACE, str(value))


def _decimal(change: Callable[[Decimal], Any]) -> Change:
    return _if(Decimal128, lambda value: change(value.to_decimal()))


def _cut_to_day(value: datetime) -> datetime:
    return value.replace(hour=0, minute=0)


def _cut_to_second(value: Any) -> Any:
    return value.replace(microsecond=0) if isinstance(value, datetime) and value.microsecond else SAME


def _neighbour(value: Any) -> Any:
    return (value + 1 if value < 999 else value - 1) if isinstance(value, int) else SAME


def _rounded(value: Decimal) -> Any:
    return Decimal128(f"{value:.2f}") if value != round(value, 2) else SAME


def _first_changed(value: list[Any]) -> list[Any]:
    return [{**value[0], "tool": "x"}, *value[1:]]


def _other(wanted: str, otherwise: str) -> Change:
    return lambda value: otherwise if value == wanted else wanted


def _of_ones(value: bytes) -> Binary:
    return Binary(bytes(value)[:2] + b"\x00\x00\x80\x3f" * ((len(value) - 2) // 4), VECTOR_SUBTYPE)


def _turned(value: bytes) -> Binary:
    return Binary(bytes(value)[:2] + bytes(value)[6:] + bytes(value)[2:6], VECTOR_SUBTYPE)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = (int, float)
_SCORE = "transaction_scores"
_COLLECTION = {
    "I": "investigations", "T": "templates", "L": "audit_log", "D": "detectors", "R": "detection_runs",
    "E": "anomaly_events", "S": _SCORE, "C": "composio_connections", "X": "composio_action_audits",
    "P": "soar_playbook_executions",
}  # fmt: skip


def _value_mutations() -> Iterator[Mutation]:
    """Name, place, change, and a place inside an array; a place is a collection's letter and a path in it."""
    for name, place, change, inside in (
        # texts
        ("text truncated", "T:name", _text(lambda t: t[:-1]), "P:[].1.action_type"),
        ("text emptied", "T:description", _text(lambda t: ""), "T:step.1.tool"),
        ("text in upper case", "I:user_id", _text(str.upper), "D:cohort_by.0"),
        ("text with a blank at its end", "L:metadata.user_id", _text(lambda t: t + " "), "D:metrics.1"),
        ("letter of another alphabet", "E:metric", _text(_look_alike), "E:evidence.signals.1"),
        ("text replaced by null", "X:toolkit_name", _text(lambda t: None), "T:step.1.tool"),
        ("text replaced by a number", "X:action_name", _text(lambda t: 7), "E:evidence.signals.0"),
        ("text doubled", "D:name", _text(lambda t: t + t), "I:settings.tools.0"),
        ("text of wrong encoding", "E:evidence.summary", _text(lambda t: t + "Ã¼"), "T:tags.0"),
        ("status of another value", "I:status", _other("ERROR", "CREATED"), "P:[].0.status"),
        ("severity changed", "E:severity", _other("info", "warn"), "P:[].1.status"),
        ("secret replaced", "C:encrypted_access_token", _text(lambda t: t[::-1]), None),
        ("secret truncated", "C:encrypted_access_token", _text(lambda t: t[:-2]), None),
        # dates
        ("date shifted by an hour", "I:created_at", _date(hours=1), "P:[].1.started_at"),
        ("date shifted by a time zone", "L:timestamp", _date(hours=-5), "P:[].0.completed_at"),
        ("date shifted by a day", "R:finished_at", _date(days=1), "P:[].1.completed_at"),
        ("date off by a millisecond", "S:created_at", _date(milliseconds=1), "P:[].0.started_at"),
        ("date cut to the second", "R:started_at", _cut_to_second, "P:[].1.started_at"),
        ("date cut to the day", "C:updated_at", _if(datetime, _cut_to_day), "P:[].1.started_at"),
        ("date as text", "X:executed_at", _if(datetime, lambda d: d.isoformat()), "P:[].1.started_at"),
        ("date replaced by null", "T:updated_at", _if(datetime, lambda d: None), "P:[].1.completed_at"),
        ("date replaced by 1970", "D:created_at", _if(datetime, lambda d: _EPOCH), "P:[].0.started_at"),
        ("microseconds lost", "S:provenance.micros.created_at", lambda v: DROP, "P:provenance.micros.[]/0/started_at"),
        ("microsecond off by one", "I:provenance.micros.updated_at", _neighbour, "P:provenance.micros.[]/1/started_at"),
        ("microseconds beyond a millisecond", "E:provenance.micros.created_at", _if(int, lambda v: v + 1000), None),
        # numbers
        ("number off by one", "T:usage_count", _if(int, lambda v: v + 1), "T:step.1.order"),
        ("version stale", "I:version", _if(int, lambda v: v - 1 or 2), "T:step.1.order"),
        ("number negated", "X:retry_count", _if(int, lambda v: -v - 1), "T:step.1.order"),
        ("number as text", "L:to_version", _if(int, str), "T:step.1.order"),
        ("number replaced by null", "E:persisted_n", _if(int, lambda v: None), "T:step.1.order"),
        ("whole number as a double", "X:retry_count", _if(int, float), None),
        ("last bit of a double", "S:risk_score", _if(float, lambda v: math.nextafter(v, 2)), None),
        ("double rounded", "E:score", _if(float, lambda v: round(v, 3)), None),
        ("double scaled by 100", "S:risk_score", _if(float, lambda v: v * 100 + 1e-9), "T:step.1.timeout_seconds"),
        ("double as NaN", "S:risk_score", _if(float, lambda v: math.nan), None),
        ("double as a decimal", "E:score", _if(float, lambda v: Decimal128(repr(v))), None),
        ("float for decimal", "E:observed", _decimal(float), None),
        ("decimal rounded", "E:observed", _decimal(_rounded), None),
        ("decimal off in its last digit", "E:expected", _decimal(lambda d: Decimal128(d + Decimal("1e-4"))), None),
        ("decimal as text", "E:expected", _decimal(str), None),
        ("boolean flipped", "D:enabled", _if(bool, lambda v: not v), "T:step.1.required"),
        ("boolean as a number", "D:enabled", _if(bool, int), "T:step.1.required"),
        # fields
        ("field missing", "X:error_message", lambda v: DROP, "T:step.1.tool"),
        ("null for missing", "I:progress", _object(lambda v: {**v, "estimate": None}), "P:[].0.result"),
        ("missing for null", "L:changes", lambda v: DROP, "P:[].0.error"),
        ("field renamed", "D:params", _object(_renamed), "T:step.1"),
        ("field added inside", "E:evidence", _object(lambda v: {**v, "note": 1}), "P:[].0"),
        # JSON and arrays
        ("array reordered", "D:metrics", _array(lambda v: v[::-1], 2), "I:settings.tools"),
        ("array element dropped", "D:cohort_by", _array(lambda v: v[:-1]), "T:template.steps"),
        ("array element doubled", "E:evidence.signals", _array(lambda v: [*v, v[-1]]), "P:actions_executed"),
        ("array element changed", "T:template.steps", _array(_first_changed), "P:actions_executed"),
        ("array for its only element", "X:parameters", _object(lambda v: [v]), "P:[].0.result"),
        ("JSON as a text of JSON", "L:state_snapshot", _object(str), "P:[].0.result"),
        ("JSON emptied", "T:template", _object(lambda v: {}), "P:[].1"),
        ("JSON key dropped", "L:state_snapshot", _object(_without_first), "P:[].1.result"),
        ("JSON text changed", "I:settings.time_range.end_time", _text(lambda t: f"2{t}"), "P:[].0.result.ticket"),
        ("finding of another score", "I:results.risk_score", _if(_NUMBER, lambda v: v / 2 + 1e-4), None),
        ("score moved between sub-documents", "I:progress", _object(lambda v: {**v, "risk_score": 0.5}), None),
        ("tags list against its kept text", "T:tags", _array(lambda v: [*v, "planted"]), None),
        # references and derived fields
        ("wrong tenant", "I:tenant_id", _text(lambda t: "other"), None),
        ("wrong tenant in a meta field", "L:metadata.tenant_id", _text(lambda t: "other"), None),
        ("wrong reference", "E:run_id", _if(UUID, _other_uuid), None),
        ("wrong reference in a meta field", "R:metadata.detector_id", _if(UUID, _other_uuid), None),
        ("reference as text", "E:detector_id", _if(UUID, str), None),
        ("reference dropped", "P:investigation_id", _text(lambda t: None), "P:[].0.action_id"),
        ("copied field of another document", "R:metadata.detector_type", _text(lambda t: "other"), None),
        ("derived duration wrong", "P:duration_ms", _if(float, lambda v: v + 1), None),
        ("derived window wrong", "E:window.duration_minutes", _if(float, lambda v: v + 1), None),
        ("window end before its start", "E:window.end", _date(days=-3), None),
        ("tags invented", "I:metadata.tags", _if(list, lambda v: ["planted"]), None),
        ("provenance of another table", "X:provenance.table", _text(lambda t: "detectors"), None),
        # embeddings
        ("embedding missing", "E:embedding", lambda v: None, None),
        ("wrong dimension", "E:embedding", lambda v: Binary(bytes(v)[:-4], VECTOR_SUBTYPE), None),
        ("embedding not of length 1", "E:embedding", _of_ones, None),
        ("embedding of another number format", "E:embedding", lambda v: Binary(bytes(v), 0), None),
        ("embedding of another document", "E:embedding", _turned, None),
        ("embedding of another model", "E:embedding_model", _text(lambda t: "other@1"), None),
    ):  # fmt: skip
        collection, path = _place(place)
        yield Mutation(name, collection, at(path, change), path, _inside(name, inside, change))


def _inside(name: str, place: str | None, change: Change) -> Mutation | None:
    if place is None:
        return None
    collection, path = _place(place)
    return Mutation(name, collection, at(path, change), path)


def _place(place: str) -> tuple[str, str]:
    letter, _, path = place.partition(":")
    return _COLLECTION[letter], path.replace("[]", "actions_executed").replace("step.", "template.steps.")


# -- documents ----------------------------------------------------------------------------------------------------


def _new_id(document: Doc) -> Doc:
    """The same document under another `_id`, itself derived, so that a repeated run plants the same."""
    document["_id"] = ObjectId(bytes(255 - byte for byte in document["_id"].binary))
    return document


def _swapped(pair: list[Doc]) -> list[Doc]:
    first, second = pair
    return [{**second, "_id": first["_id"]}, {**first, "_id": second["_id"]}]


def _swapped_field(path: str) -> Callable[[list[Doc]], list[Doc]]:
    def swap(pair: list[Doc]) -> list[Doc]:
        first, second = pair
        return [{**first, path: second[path]}, {**second, path: first[path]}]

    return swap


def _extra(document: Doc) -> list[Doc]:
    other = _new_id(copy.deepcopy(document))
    other["entry_id"] = f"{document['entry_id']}x"
    return [document, other]


def _document_mutations() -> Iterator[Mutation]:
    for collection in (_SCORE, "audit_log", "anomaly_events"):
        yield Mutation(f"document missing in {collection}", collection, whole(lambda document: []))
    for collection in ("audit_log", "detection_runs"):
        yield Mutation(f"document doubled in {collection}", collection, whole(lambda document: [document, document]))
    for collection in ("audit_log", "investigations"):
        yield Mutation(f"wrong _id in {collection}", collection, whole(lambda document: [_new_id(document)]))
    yield Mutation("document doubled under another _id", "audit_log", whole(lambda d: [d, _new_id(copy.deepcopy(d))]))
    yield Mutation("document that no row has", "audit_log", whole(_extra), names_new=True)
    yield Mutation("field that the model does not have", _SCORE, whole(lambda d: [{**d, "score": 1}]), "document shape")
    yield Mutation(
        "provenance removed", "composio_connections", whole(lambda d: [_less(d, "provenance")]), "provenance.table"
    )
    yield Mutation(
        "key changed", _SCORE, whole(lambda d: [{**d, "transaction_id": f"{d['transaction_id']}0"}]), "transaction_id"
    )
    yield Mutation("two documents swapped", "detection_runs", _pair(_swapped), "run_id", pair=True)
    for name, collection, path in (
        ("values of two documents swapped", _SCORE, "risk_score"),
        ("embeddings of two documents swapped", "anomaly_events", "embedding"),
    ):
        yield Mutation(name, collection, _pair(_swapped_field(path)), path, pair=True)


def _less(document: Doc, name: str) -> Doc:
    del document[name]
    return document


def _pair(swap: Callable[[list[Doc]], list[Doc]]) -> Callable[[Any], list[Doc] | None]:
    return lambda pair: swap(copy.deepcopy(pair)) if swap(pair) != pair else None


MUTATIONS: tuple[Mutation, ...] = (*_value_mutations(), *_document_mutations())
"""Corruptions of documents, each planted at every position. Those of collections and ledgers are in `planting`."""
