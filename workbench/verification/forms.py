"""A row and its document in one comparable form, and the differences between the two.

The form of a row is made from what PostgreSQL says. The form of a document is read from its fields, or restored by
the migration's own code where `provenance` holds values that BSON cannot. To it comes what a row cannot show: derived
fields (tenant, durations, the detector's type), the document's shape, and whether `provenance` agrees with the values
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import DatetimeMS, ObjectId
from psycopg import sql

from workbench.migration.tables import TABLES
from workbench.migration.tables.columns import INFINITY, MINUS_INFINITY, RULES, Column, Notes, RowProblem
from workbench.migration.tables.table import Table
from workbench.models.fields import derive_ids
from workbench.models.validator import json_schema
from workbench.settings import Settings, TenancyRule
from workbench.verification.canonical import ABSENT, NAN, Kind, canonical, json_form, same, show, show_timestamp
from workbench.verification.doubles import Tree, doubles_in
from workbench.verification.explain import cause, difference
from workbench.verification.readings import DERIVED, KINDS, at, defaults, reader, reader_at
from workbench.verification.shapes import Shapes

Form = tuple[Any, ...]
_SAME_FROM_POSTGRESQL = {Kind.TEXT, Kind.INTEGER, Kind.DOUBLE, Kind.BOOLEAN, Kind.TIMESTAMP, Kind.UUID}
_IN_JSON = (dict, list, str, int, float, datetime)
_NOTHING: Mapping[str, int] = {}
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)


@dataclass(frozen=True)
class Field:
    """One compared value: its name in reports, its kind, and whether it must never be shown."""

    name: str
    kind: Kind
    secret: bool = False

    def show(self, form: Any) -> str:
        """A canonical value for people."""
        if self.kind is Kind.TIMESTAMP and not self.secret:
            return {INFINITY: "infinity", MINUS_INFINITY: "-infinity"}.get(form) or show_timestamp(form)
        return show(form, secret=self.secret)


@dataclass(frozen=True)
class Difference:
    """One field in which a row and its document differ; of JSON, the first part of it that does."""

    field: str
    expected: str
    found: str
    cause: str


_RESULTS = frozenset({"risk_score", "domain_findings", "transaction_scores"})
DOUBLED = "(a field name that occurs twice)"
"""Stands among the fields of a document that was read and has two fields of one name; see `scan.documents`."""
_MARKS = ("provenance.table", "document shape", "provenance")


class Forms:
    """Makes the forms of one table's rows and documents."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self.table, self._settings = table, settings
        self._names = tuple(column.name for column in table.columns)
        self._kinds = tuple(KINDS[column.kind] for column in table.columns)
        self._doubles = _doubles(table)
        self._convert = [
            (position, kind, self._doubles.get(column.name) if kind is Kind.JSON else None)
            for position, (column, kind) in enumerate(zip(table.columns, self._kinds, strict=True))
            if kind not in _SAME_FROM_POSTGRESQL
        ]
        self._floats = [position for position, kind in enumerate(self._kinds) if kind is Kind.DOUBLE]
        self._readers = tuple(reader(column) for column in table.columns)
        self._key = tuple(self._names.index(name) for name in table.key)
        self._derived = (*DERIVED.get(table.name, ()), *defaults(table))
        extras = [(extra.path, Kind.TEXT) for extra in table.extras]
        if not table.has_tenant:
            extras.append((table.collection.tenant_path, Kind.TEXT))
        self._outside = tuple(extras) + tuple((path, kind) for path, kind, _ in self._derived)
        self._outside_readers = tuple(reader_at(path, kind) for path, kind in self._outside)
        self._shapes = Shapes(table.collection)
        self._has_results = "results" in table.collection.document.model_fields
        self._instants = frozenset(column.path for column in table.columns if column.kind == "instant")
        self.fields = (
            *(Field(column.name, KINDS[column.kind], column.secret) for column in table.columns),
            *(Field(path, kind) for path, kind in self._outside),
            *(Field(name, Kind.TEXT) for name in _MARKS),
        )

    def select(self) -> sql.Composed:
        """`SELECT` of what `row_form` takes: the columns, then values of other tables, then a derived tenant."""
        table, settings = self.table, self._settings
        parts: list[sql.Composable] = [
            sql.SQL("t.{}").format(sql.Identifier(column.name))
            + sql.SQL("::text" if kind is Kind.UUID else column.cast)
            for column, kind in zip(table.columns, self._kinds, strict=True)
        ]
        parts += [sql.SQL("({})").format(sql.SQL(extra.sql)) for extra in table.extras]
        if not table.has_tenant:
            by_user = settings.tenancy_rule is TenancyRule.USER and table.user
            tenant = sql.SQL("({})").format(sql.SQL(table.user)) if by_user else sql.Literal(settings.default_tenant)
            parts.append(tenant + sql.SQL("::text"))
        return sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(parts), sql.Identifier(table.name))

    def row_key(self, row: Sequence[Any]) -> tuple[str, ...]:
        """The primary key of a selected row, as text."""
        return tuple(str(row[position]) for position in self._key)

    def row_ids(self, rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
        """The `_id`s that the documents of selected rows must have."""
        return derive_ids(self.table.name, [[str(row[position]) for row in rows] for position in self._key])

    def row_form(self, row: Sequence[Any]) -> Form:
        """The canonical form of a selected row."""
        form = list(row)
        for position, kind, doubles in self._convert:
            form[position] = canonical(kind, form[position], doubles)
        for position in self._floats:
            if form[position] != form[position]:
                form[position] = NAN
        if self._derived:
            named = dict(zip(self._names, row, strict=False))
            form += [derive(named) for _, _, derive in self._derived]
        form += (self.table.name, "", "")
        return tuple(form)

    def document_form(self, document: Mapping[str, Any]) -> Form:
        """The canonical form of a stored document; of one that cannot be read, what can be."""
        provenance = document.get("provenance")
        provenance = provenance if isinstance(provenance, dict) else {}
        try:
            if provenance.get("exact"):
                form = self._restored(document)
            else:
                micros = provenance.get("micros") or _NOTHING
                form = [read(document, micros) for read in self._readers]
        except _UNREADABLE:
            form = [canonical(kind, self._column(column, document))
                    for kind, column in zip(self._kinds, self.table.columns, strict=True)]  # fmt: skip
        form += [read(document) for read in self._outside_readers]
        table = provenance.get("table", ABSENT)
        form += (table, self._shape_problem(document), self._notes_problem(document, provenance))
        return tuple(form)

    def _shape_problem(self, document: Mapping[str, Any]) -> str:
        if DOUBLED in document:
            return "two fields share one name, and readers see only one of them"
        if self._has_results and (problem := _results_problem(document)):
            return problem
        return self._shapes.problem(document)

    def _restored(self, document: Mapping[str, Any]) -> list[Any]:
        """The values of the columns, where some stand in `provenance` rather than in their fields."""
        values = self.table.restore(document)
        return [canonical(kind, value) for kind, value in zip(self._kinds, values, strict=True)]

    def _column(self, column: Column, document: Mapping[str, Any]) -> Any:
        """The value of one column of a document that cannot be restored as a whole."""
        try:
            return column.dump(document, Notes(document.get("provenance")))
        except KeyError:
            return ABSENT
        except _UNREADABLE:
            value = at(document, column.path.split("."))
            return value if value is ABSENT or value is None else _Unreadable(value)

    def _notes_problem(self, document: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
        """What in `provenance` contradicts the values beside it: a restored row would show the note, not the value."""
        micros, exact = provenance.get("micros"), provenance.get("exact")
        try:
            if exact:
                return self._stale_note(document, provenance)
            for path, value in (micros or {}).items():
                if not 0 < value < 1000:
                    return f"micros of {path}: {value}"
                if not self._is_date(document, path):
                    return f"micros of {path}, where no date is"
            empty = [name for name in ("micros", "exact") if name in provenance and not provenance[name]]
            if empty:
                return f"an empty {empty[0]}"
        except RowProblem as problem:
            return f"exact of {problem.field} is not a value of its column"
        except _UNREADABLE as error:
            return f"unreadable ({type(error).__name__})"
        return ""

    def _is_date(self, document: Mapping[str, Any], path: str) -> bool:
        """Whether a date stands at the path: of a column, or of an element of an array."""
        place: Any = document
        names = path.split(".")
        if path not in self._instants and not (len(names) == 3 and names[1].isdigit()):
            return False
        for name in names:
            place = place[int(name)] if isinstance(place, list) else place[name]
        return isinstance(place, (datetime, DatetimeMS))

    def _stale_note(self, document: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
        kept, made = Notes(provenance), Notes(rules=frozenset(RULES))
        fields: dict[str, Any] = {
            column.path.partition(".")[0]: {} for column in self.table.columns if "." in column.path
        }
        for column in self.table.columns:
            column.load(column.dump(document, kept), fields, made)
        if made.exact != kept.exact:
            return f"exact of {_odd(made.exact, kept.exact)}"
        if made.micros != kept.micros:
            return f"micros of {_odd(made.micros, kept.micros)}"
        for path, value in _leaves(fields):
            made_form = json_form(_stored(value), self._doubles.get(path[0]))
            if not same(made_form, json_form(_stored(at(document, path)))):
                return f"the exact value kept for {'.'.join(path)} is not the one stored there"
        return ""

    def differences(self, row: Form, document: Form) -> Iterator[Difference]:
        """The fields in which the two forms differ."""
        for field, expected, found in zip(self.fields, row, document, strict=True):
            if not same(expected, found):
                how = found if field.name in _MARKS[1:] else cause(field.kind, expected, found)
                path, one, other = difference(expected, found) if field.kind is Kind.JSON else ("", expected, found)
                yield Difference(field.name, _show_part(field, path, one), _show_part(field, path, other), how)


def _show_part(field: Field, path: str, value: Any) -> str:
    """A value, or what stands at a path in it, where None is JSON's null."""
    return "null" if path and value is None and not field.secret else field.show(value)


def _results_problem(document: Mapping[str, Any]) -> str:
    """Progress and results are made from one column, so neither may hold what the other one rules out."""
    progress, results = document.get("progress"), document.get("results")
    if isinstance(progress, dict) and (misplaced := _RESULTS & progress.keys()):
        return f"progress.{min(misplaced)}: belongs into results, where another value may stand"
    if progress is None and results is not None:
        return "results: a value, though progress is null"
    return "results: an empty object in place of null" if results == {} else ""


def _doubles(table: Table) -> dict[str, Tree]:
    """Columns and fields in whose JSON the model has doubles -> where. One column makes both progress and results."""
    properties = json_schema(table.collection)["properties"]
    found: dict[str, Tree] = {name: tree for name, part in properties.items() if (tree := doubles_in(part))}
    progress, results = found.get("progress"), found.get("results")
    for column in table.columns:
        if column.path == "progress" and isinstance(progress, tuple) and isinstance(results, tuple):
            found[column.name] = ({**progress[0], **results[0]}, None)
        elif tree := found.get(column.path):
            found[column.name] = tree
    return found


class _Unreadable:
    """A stored value of a type that its column does not have; its canonical form is "malformed"."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return f"{type(self._value).__name__} {str(self._value)[:80]}"


def _stored(value: Any) -> Any:
    return str(value) if value is not None and not isinstance(value, _IN_JSON) else value


def _leaves(fields: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in fields.items():
        if name in ("window", "metadata") and isinstance(value, dict):
            yield from (((name, inner), item) for inner, item in value.items())
        else:
            yield (name,), value


def _odd(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return next((path for path in {**one, **other} if one.get(path) != other.get(path)), "?")


_FORMS: dict[tuple[str, TenancyRule, str], Forms] = {}


def forms_of(table: str, settings: Settings) -> Forms:
    """The forms of a table by its name; made once in a process, which takes up to 9 ms."""
    key = (table, settings.tenancy_rule, settings.default_tenant)
    if key not in _FORMS:
        _FORMS[key] = Forms(TABLES[table], settings)
    return _FORMS[key]


def identity(document: Mapping[str, Any]) -> bytes:
    """The bytes by which a document is assigned to a bucket: its `_id`, or all ones if that is no ObjectId."""
    found = document.get("_id")
    return found.binary if isinstance(found, ObjectId) else b"\xff" * 12
