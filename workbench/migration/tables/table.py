"""A source table as data: its columns, where they go, and what SQL must say about a row. Both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from pydantic import ValidationError

from workbench.migration.tables.columns import Column, Fields, Notes, RowProblem, Rules
from workbench.models.document import Document
from workbench.models.spec import Collection
from workbench.settings import Settings, TenancyRule

Row = Sequence[Any]
Load = Callable[[Any, Fields, Notes], None]
_REASONS = {
    "enum": "not_allowed_value",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "not_finite",
    "string_too_short": "empty",
    "string_too_long": "too_long",
    "timezone_aware": "bad_date",
    "string_unicode": "lone_surrogate",
    "extra_forbidden": "unknown_field",
}
"""Pydantic's error types under the names that the quarantine uses; other types stand for themselves."""


@dataclass(frozen=True)
class Check:
    """A rule about a row that needs other rows: `violated` is a SQL condition over the row `t`."""

    reason: str
    field: str
    violated: str


@dataclass(frozen=True)
class Extra:
    """A value from another table: a SQL expression over the row `t`, and the field it fills."""

    sql: str
    path: str


@dataclass(frozen=True)
class Table:
    """One source table.

    Attributes:
        collection: where its rows go; it also names the table.
        key: the columns of the primary key, in the order of the collection's natural key.
        columns: every column of the table.
        selected: what `select` returns, without the broken rule: the columns, the extras, a derived tenant.
        user: SQL for the row's user, for the tenancy rule `user`; empty if the table has a tenant of its own
            or no user (then the constant tenant).
        time_column: the column by which a time series is cut into partitions.
        derive: fills fields that follow from others.
    """

    collection: Collection
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    has_tenant: bool = False
    user: str = ""
    time_column: str = ""
    extras: tuple[Extra, ...] = ()
    checks: tuple[Check, ...] = ()
    derive: Callable[[Fields], None] | None = None
    selected: tuple[Column, ...] = field(init=False, repr=False)
    _parents: tuple[str, ...] = field(init=False, repr=False)
    _copied: tuple[tuple[int, str], ...] = field(init=False, repr=False)
    _loaded: tuple[tuple[int, Load], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        extra_paths = [extra.path for extra in self.extras]
        if not self.has_tenant:
            extra_paths.append(self.collection.tenant_path)
        columns = [*self.columns, *(Column(path) for path in extra_paths)]
        copied = {index: column.path for index, column in enumerate(columns) if column.is_copied}
        loaded = {index: column.load for index, column in enumerate(columns) if index not in copied}
        parents = dict.fromkeys(column.path.split(".")[0] for column in columns if "." in column.path)
        object.__setattr__(self, "selected", tuple(columns))
        object.__setattr__(self, "_parents", tuple(parents))
        object.__setattr__(self, "_copied", tuple(copied.items()))
        object.__setattr__(self, "_loaded", tuple(loaded.items()))

    @property
    def name(self) -> str:
        """The name of the source table."""
        return self.collection.source_table

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """The columns whose ranges cut the table into partitions."""
        return (self.time_column,) if self.time_column else self.key

    def select(self, settings: Settings) -> sql.Composed:
        """`SELECT` of every row: the columns, the extras, the tenant where it is derived, the broken rule or NULL."""
        parts: list[sql.Composable] = [
            sql.SQL("t.{}").format(sql.Identifier(column.name)) + sql.SQL(column.cast) for column in self.columns
        ]
        parts += [sql.SQL("({})").format(sql.SQL(extra.sql)) for extra in self.extras]
        if not self.has_tenant:
            by_user = settings.tenancy_rule is TenancyRule.USER and self.user
            constant = sql.SQL("{}::text").format(sql.Literal(settings.default_tenant))
            parts.append(sql.SQL("({})::text").format(sql.SQL(self.user)) if by_user else constant)
        parts.append(self._broken_rule())
        return sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(parts), sql.Identifier(self.name))

    def _broken_rule(self) -> sql.Composable:
        if not self.checks:
            return sql.SQL("NULL::text")
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.SQL(check.violated), sql.Literal(f"{check.reason} {check.field}"))
            for check in self.checks
        ]
        return sql.SQL("CASE {} END").format(sql.SQL(" ").join(cases))

    def row_key(self, row: Row) -> tuple[str, ...]:
        """The primary key of a selected row, as text."""
        positions = [index for index, column in enumerate(self.columns) if column.name in self.key]
        by_name = {self.columns[index].name: str(row[index]) for index in positions}
        return tuple(by_name[name] for name in self.key)

    def build(self, row: Row, rules: Rules = frozenset()) -> Fields:
        """The fields of the document for a selected row, not yet validated.

        Args:
            row: the values of `select`, in its order.
            rules: names of the `RULES` that were accepted for this table.

        Raises:
            RowProblem: a value cannot become part of a document, or a rule across rows is broken.
        """
        if row[-1] is not None:
            reason, _, name = row[-1].partition(" ")
            if f"accept-{reason}" not in rules:
                raise RowProblem(name, reason, f"{name} breaks the rule {reason}")
        notes = Notes(rules=rules)
        fields: Fields = {name: row[index] for index, name in self._copied}
        for parent in self._parents:
            fields[parent] = {}
        for index, load in self._loaded:
            load(row[index], fields, notes)
        if self.derive:
            self.derive(fields)
        provenance: dict[str, Any] = {"table": self.collection.source_table}
        if notes.micros:
            provenance["micros"] = notes.micros
        if notes.exact:
            provenance["exact"] = notes.exact
        fields["provenance"] = provenance
        return fields

    def validate(self, fields: Fields) -> Document:
        """The validated document.

        Raises:
            RowProblem: a field breaks a rule of the model; the first such field is named.
        """
        try:
            document: Document = self.collection.document.__pydantic_validator__.validate_python(fields)
            return document
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            path = ".".join(map(str, problem["loc"])) or problem.get("ctx", {}).get("field", "")
            if problem["input"] is not None:
                raise RowProblem(path, _REASONS.get(problem["type"], problem["type"]), problem["msg"]) from None
            exact = fields["provenance"].get("exact", {}).get(path)
            if exact and exact.strip() != "null":
                raise RowProblem(
                    path, "not_storable", f"{exact[:100]} has no BSON value, and one is required"
                ) from None
            raise RowProblem(path, "null_not_allowed", problem["msg"]) from None

    def restore(self, document: Mapping[str, Any]) -> tuple[Any, ...]:
        """The source row that a stored document stands for: the values of `columns`, as `select` returns them.

        Instants are microseconds since `EPOCH`, JSON is text (equal by value, not by spelling), NULL is None.
        """
        notes = Notes(document.get("provenance"))
        return tuple(column.dump(document, notes) for column in self.columns)
