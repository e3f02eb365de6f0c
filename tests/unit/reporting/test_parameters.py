"""Parameters are read by their declaration, and refused before a kernel starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.reporting.notebooks import write_notebook
from workbench.errors import ConfigurationError, ParameterError
from workbench.reporting.parameters import Parameter, describe, parse_assignments, validate

DECLARATION = """
from typing import Literal

tables: list[str] = []  # tables to migrate; empty: all
workers: int | None = None  # processes, 1 to 256; None: the setting
share: float = 1.0  # part of the rows, 0 to 1
dry_run: bool = False  # write nothing
code: str = "001"  # a text of digits
mode: Literal["full", "sample"] = "full"  # what is compared
"""


@pytest.fixture
def known(tmp_path: Path) -> list[Parameter]:
    return describe(write_notebook(tmp_path, "n", "# N", parameters=DECLARATION))


def test_describe_reads_name_type_default_and_help(known: list[Parameter]) -> None:
    facts = [(p.name, p.type, p.default, p.help) for p in known]
    assert facts[:2] == [
        ("tables", "list[str]", [], "tables to migrate; empty: all"),
        ("workers", "int | None", None, "processes, 1 to 256; None: the setting"),
    ]
    assert [p.name for p in known] == ["tables", "workers", "share", "dry_run", "code", "mode"]


def test_a_notebook_without_the_cell_takes_none(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "n", "# N", "x = 1")
    assert describe(path) == []
    with pytest.raises(ParameterError, match="takes no parameters"):
        validate([], {"x": 1}, notebook="n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("code=007", "007"),
        ("code=1_000", "1_000"),
        ("code=", ""),
        ("code=a=b", "a=b"),
        ("workers=4", 4),
        ("workers=", None),
        ("share=1", 1.0),
        ("share=2.5e-1", 0.25),
        ("dry_run=true", True),
        ("dry_run=False", False),
        ("tables=a, b", ["a", "b"]),
        ("tables=", []),
        ("mode=sample", "sample"),
    ],
)
def test_text_is_parsed_by_the_declared_type(known: list[Parameter], text: str, value: Any) -> None:
    [(_, parsed)] = parse_assignments(known, [text], notebook="n").items()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text", ["workers=1_0", "workers=1.0", "workers=four", "share=nan", "share=", "dry_run=1", "mode=ful", "code"]
)
def test_text_that_does_not_fit_is_refused(known: list[Parameter], text: str) -> None:
    with pytest.raises(ParameterError):
        parse_assignments(known, [text], notebook="n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", True),
        ("workers", 1.0),
        ("workers", "1"),
        ("code", 7),
        ("code", None),
        ("tables", "a"),
        ("tables", [1]),
        ("dry_run", 0),
        ("mode", "other"),
        ("share", False),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_facts(known: list[Parameter], name: str, value: object) -> None:
    declared = next(p.type for p in known if p.name == name)
    with pytest.raises(ParameterError) as caught:
        validate(known, {name: value}, notebook="n")
    for fact in (name, declared, repr(value)):
        assert fact in str(caught.value)


def test_an_int_becomes_the_float_that_is_declared(known: list[Parameter]) -> None:
    assert type(validate(known, {"share": 1}, notebook="n")["share"]) is float


def test_an_unknown_name_is_answered_with_the_nearest(known: list[Parameter]) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'tables'") as caught:
        validate(known, {"tabels": []}, notebook="02_migrate")
    assert "02_migrate" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "value",
    ["mongodb://me:s3cret@host/db", "x postgresql://a:b@c", "host=h password=s3cret", ["mongodb+srv://a:s3cret@h"]],
)
def test_credentials_are_refused_and_not_repeated(known: list[Parameter], value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        validate(known, {"code": value}, notebook="n")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("value", ["mongodb://host/db", "12:30@noon", "user@example.org"])
def test_uris_without_a_password_are_fine(known: list[Parameter], value: str) -> None:
    assert validate(known, {"code": value}, notebook="n") == {"code": value}


@pytest.mark.parametrize(
    "declaration",
    ["x = 1  # no annotation", "x: dict = {}  # a type that cannot be given", "x: int = 1 + y", "x: int ="],
)
def test_a_bad_declaration_is_named(tmp_path: Path, declaration: str) -> None:
    path = write_notebook(tmp_path, "bad", "# N", parameters=declaration)
    with pytest.raises(ConfigurationError, match="bad"):
        describe(path)


def test_what_is_no_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no notebook"):
        describe(tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text("hello")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        describe(tmp_path / "text.ipynb")
