"""The catalogue: enough kinds, each named once, each changing a document and nothing beside it."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from workbench.models import COLLECTIONS
from workbench.verification.mutations import DROP, MUTATIONS, SAME, Mutation, at

DOCUMENT: dict[str, Any] = {"a": {"b.c": 1, "list": [{"x": "text"}, {"x": None}]}, "when": datetime(2026, 1, 1)}  # noqa: DTZ001


def test_there_are_at_least_sixty_kinds() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 60
    assert sum(mutation.inside is not None for mutation in MUTATIONS) >= 40


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_kind_is_about_collections_that_exist(mutation: Mutation) -> None:
    assert mutation.collection in COLLECTIONS
    assert mutation.inside is None or mutation.inside.collection in COLLECTIONS


def test_a_change_reaches_into_arrays_and_names_with_dots() -> None:
    before = copy.deepcopy(DOCUMENT)
    assert at("a.list.0.x", lambda value: value.upper())(DOCUMENT) == [
        {**DOCUMENT, "a": {"b.c": 1, "list": [{"x": "TEXT"}, {"x": None}]}}
    ]
    assert at("a.b/c", lambda value: DROP)(DOCUMENT) == [{**DOCUMENT, "a": {"list": DOCUMENT["a"]["list"]}}]
    assert before == DOCUMENT


@pytest.mark.parametrize("path", ["a.list.7.x", "nothing", "when.x", "a.nothing.x"])
def test_a_path_that_is_not_there_is_not_corrupted(path: str) -> None:
    assert at(path, lambda value: 1)(DOCUMENT) is None
    assert at("a", lambda value: SAME)(DOCUMENT) is None
