"""The typed parameters of a notebook: read them, describe them, and refuse wrong values before a kernel starts.

A notebook that takes parameters has one code cell with the tag `parameters`; each line declares one:

    tables: list[str] = []  # tables to migrate; empty: all
    workers: int | None = None  # processes, 1 to 256; None: the setting
    mode: Literal["full", "sample"] = "full"  # what is compared

Types are `str`, `int`, `float`, `bool`, `list[str]` and `Literal[...]`, each also `| None`. The comment is the help,
with unit and range. This module reads the file as JSON and imports no Jupyter package, so that a typo is answered at
once.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ConfigurationError, ParameterError

PARAMETERS_TAG = "parameters"
_SCALARS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]*@|\bpassword\s*=", re.IGNORECASE)


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type as written, its parts, its default, and one line of help."""

    name: str
    type: str
    default: Any
    help: str
    base: str  # str, int, float, bool, list[str] or Literal
    optional: bool = False
    choices: tuple[Any, ...] = ()

    def check(self, value: object) -> Any:
        """`value` as the notebook gets it (an int becomes a float where a float is declared).

        Raises:
            ParameterError: It has another type, is none of the choices, or carries credentials.
        """
        _refuse_credentials(self.name, value)
        if value is None and self.optional:
            return None
        if self.base == "float" and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not self._accepts(value):
            raise self._error(repr(value), type(value).__name__)
        return value

    def parse(self, text: str) -> Any:
        """The value that `text` of the command line means for the declared type, never for how it looks.

        An empty text is None for an optional parameter and an empty list for a list.
        """
        _refuse_credentials(self.name, text)
        if text == "" and self.optional:
            return None
        if self.base == "list[str]":
            return [part.strip() for part in text.split(",") if part.strip()]
        if self.base == "Literal":
            values: list[Any] = [choice for choice in self.choices if str(choice) == text]
        elif self.base == "bool":
            values = [{"true": True, "false": False}[text.lower()]] if text.lower() in ("true", "false") else []
        else:
            values = _converted(_SCALARS[self.base], text)
        if not values:
            raise self._error(repr(text), "text")
        return values[0]

    def _accepts(self, value: object) -> bool:
        if self.base == "Literal":
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if self.base == "list[str]":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        return type(value) is _SCALARS[self.base]

    def _error(self, found: str, kind: str) -> ParameterError:
        return ParameterError(
            f"Parameter {self.name!r} must be {self.type}, found {found} ({kind}).",
            todo=f"It is: {self.help}." if self.help else "",
        )


def describe(notebook: Path) -> list[Parameter]:
    """The parameters that a notebook declares, in their order; none if it has no cell tagged `parameters`.

    Raises:
        ConfigurationError: The file is no notebook, or a declaration is not of the form above.
    """
    cells = [cell for cell in read_cells(notebook) if PARAMETERS_TAG in cell["metadata"].get("tags", [])]
    if len(cells) > 1:
        raise ConfigurationError(f"{notebook.name} has {len(cells)} cells tagged {PARAMETERS_TAG!r}, expected one.")
    return _declared("".join(cells[0]["source"]), notebook.name) if cells else []


def validate(parameters: Sequence[Parameter], values: Mapping[str, object], *, notebook: str) -> dict[str, Any]:
    """The given values, checked; those that are not given are left to the notebook's defaults.

    Raises:
        ParameterError: A name is unknown (the nearest is named) or a value has the wrong type.
    """
    known = {parameter.name: parameter for parameter in parameters}
    _refuse_unknown(values, known, notebook)
    return {name: known[name].check(value) for name, value in values.items()}


def parse_assignments(parameters: Sequence[Parameter], texts: Iterable[str], *, notebook: str) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts, each parsed by its declared type.

    Raises:
        ParameterError: A text has no `=`, a name is unknown, or a value does not fit.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"A parameter is given as NAME=VALUE, found {name!r}.")
        pairs[name.strip()] = value
    known = {parameter.name: parameter for parameter in parameters}
    _refuse_unknown(pairs, known, notebook)
    return {name: known[name].parse(value) for name, value in pairs.items()}


def read_cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file as plain dicts; `source` may be a text or a list of lines."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        raise ConfigurationError(f"There is no notebook {notebook}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{notebook} cannot be read as a notebook: {error}.") from error
    return list(cells)


def _declared(source: str, notebook: str) -> list[Parameter]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ConfigurationError(f"{notebook}: its parameters cell is no Python: {error}.") from error
    helps = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for statement in statements:
        if isinstance(statement, ast.ImportFrom | ast.Import | ast.Expr):
            continue  # `from typing import Literal`, a docstring
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value):
            raise ConfigurationError(
                f"{notebook}: {ast.unparse(statement)!r} in its parameters cell is not `name: type = default`."
            )
        found.append(_parameter(statement, statement.target.id, statement.value, helps, notebook))
    return found


def _parameter(
    statement: ast.AnnAssign, name: str, value: ast.expr, helps: Mapping[int, str], notebook: str
) -> Parameter:
    optional, kind = False, statement.annotation
    if isinstance(kind, ast.BinOp) and isinstance(kind.right, ast.Constant) and kind.right.value is None:
        optional, kind = True, kind.left
    base, choices = ast.unparse(kind), ()
    if base.startswith("Literal[") and isinstance(kind, ast.Subscript):
        base, choices = "Literal", _literal_choices(kind.slice)
    if base not in (*_SCALARS, "list[str]", "Literal"):
        raise ConfigurationError(f"{notebook}: parameter {name!r} has the type {base}, which cannot be given.")
    try:
        default = ast.literal_eval(value)
    except ValueError:
        raise ConfigurationError(f"{notebook}: the default of {name!r} is not a plain value.") from None
    text = helps.get(statement.end_lineno or statement.lineno, "")
    return Parameter(name, ast.unparse(statement.annotation), default, text, base, optional, choices)


def _literal_choices(options: ast.expr) -> tuple[Any, ...]:
    value = ast.literal_eval(options)
    return value if isinstance(value, tuple) else (value,)


def _refuse_unknown(given: Iterable[str], known: Mapping[str, Parameter], notebook: str) -> None:
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        there = f"It takes: {', '.join(known)}." if known else "It takes no parameters."
        raise ParameterError(f"{notebook} has no parameter {name!r}.", todo=f"{hint} {there}".strip())


def _refuse_credentials(name: str, value: object) -> None:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and _CREDENTIALS.search(text):
            raise ParameterError(
                f"Parameter {name!r} carries a password in a URI; parameters are stored in the report.",
                todo="Set it in the environment or .env.",
            )


def _converted(kind: type, text: str) -> list[Any]:
    if kind is not str and not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", text, re.IGNORECASE):
        return []  # int() and float() would take 1_000, blanks and nan
    try:
        return [kind(text)]
    except ValueError:
        return []
