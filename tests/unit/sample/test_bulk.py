"""COPY's text format."""

from __future__ import annotations

from workbench.sample.bulk import copy_text


def test_values_are_escaped_and_null_is_not_an_empty_text() -> None:
    rows = [("a\tb", None, ""), ("line\nbreak", r"back\slash \N", "ü\r")]
    assert copy_text(rows).decode() == "a\\tb\t\\N\t\nline\\nbreak\tback\\\\slash \\\\N\tü\\r\n"
