"""The contract that every public method of every repository keeps: tenancy, literal values, indexes, time limits."""

from __future__ import annotations

import base64
import contextlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson.code import Code
from bson.regex import Regex
from pydantic import BaseModel
from pymongo.database import Database

from tests.contract.conftest import TENANTS, Recorder
from tests.contract.explain import collection_scan, serving_index
from tests.contract.questions import CHANGES, QUESTIONS, Call, ask, public_methods, repository_classes
from tests.documents import BUILDERS
from workbench import connections
from workbench.errors import AlreadyExists, DataError, InvalidInput, NotFound, VersionConflict
from workbench.models import COLLECTIONS
from workbench.models.document import Document, resolve
from workbench.models.fields import utc_now
from workbench.repositories import About, Page, Repositories
from workbench.settings import Settings

MINE, OTHER = TENANTS
Make = Callable[[str], Call]
every_question = pytest.mark.parametrize(
    ("collection", "method", "make"), QUESTIONS, ids=[f"{name}.{method}" for name, method, _ in QUESTIONS]
)
PAGED = [
    (name, method, make)
    for name, method, make in QUESTIONS
    if "cursor" in inspect.signature(getattr(repository_classes()[name], method)).parameters
]
HOSTILE = [
    {"$gt": "hostile-marker"},
    {"$ne": None, "hostile-marker": 1},
    {"$where": "hostile-marker"},
    [{"$gt": "hostile-marker"}],
    re.compile("hostile-marker|.*"),
    Regex("hostile-marker|.*"),
    Code("hostile-marker"),
    "' || 'hostile-marker' == 'hostile-marker",
    "$hostile-marker",
    "hostile-marker\x00",
    "hostile-marker\ud800",
]
"""Operators, patterns, code and strings that would widen a filter, or break it, if they were taken for one."""
STORED_TEXT = {
    ("record_retry", "result"),
    ("record_retry", "error_message"),
    ("set_status", "error_message"),
    ("link_to_investigation", "1"),
    ("release_outbox", "2"),
}
"""(method, argument) of arguments that are stored as they are, so that text in them is just text."""


@pytest.fixture(scope="module")
def database(contract_settings: Settings) -> Iterator[Database[Any]]:
    with connections.open_target(contract_settings) as client:
        yield client[contract_settings.mongodb_database]


def test_every_public_method_has_a_question() -> None:
    asked = {(name, method) for name, method, _ in QUESTIONS}
    classes = repository_classes()
    assert set(classes) == set(COLLECTIONS)
    assert asked == {(name, method) for name in COLLECTIONS for method in public_methods(classes[name])}


@every_question
async def test_a_tenant_is_required(repositories: Repositories, collection: str, method: str, make: Make) -> None:
    parameters = list(inspect.signature(getattr(getattr(repositories, collection), method)).parameters.values())
    assert parameters[0].name == "tenant"
    assert parameters[0].default is inspect.Parameter.empty
    for tenant in ("", None, 7, ["acme"], {"$gt": ""}, Regex(".*"), "x" * 256, "acme\ud800"):
        with pytest.raises(InvalidInput):
            await ask(repositories, collection, method, tenant, make(MINE))


@every_question
async def test_another_tenant_sees_and_changes_nothing(
    repositories: Repositories, database: Database[Any], collection: str, method: str, make: Make
) -> None:
    await _prepare(database, method)
    before = _all_of(database, collection)
    try:
        answer = await ask(repositories, collection, method, OTHER, make(MINE))
    except (NotFound, InvalidInput):
        pass
    else:
        shown = repr(answer)
        assert MINE not in shown
        assert not [key for key in _texts_of_keys(collection) if key in shown]
    assert _all_of(database, collection) == before
    # The same call of its own tenant does what it is for: without that, the other tenant's proves nothing.
    answer = await ask(repositories, collection, method, MINE, make(MINE))
    if method in CHANGES:
        assert _all_of(database, collection) != before
    else:
        assert _all_of(database, collection) == before
        assert answer is not None


@every_question
async def test_hostile_values_are_refused_or_literal(
    repositories: Repositories,
    database: Database[Any],
    recorder: Recorder,
    collection: str,
    method: str,
    make: Make,
) -> None:
    valid = make(MINE)
    parameters = set(inspect.signature(getattr(getattr(repositories, collection), method)).parameters)
    before = _all_of(database, collection)
    for hostile in HOSTILE:
        for named, attempt in _with_one_replaced(valid, hostile, parameters):
            recorder.commands.clear()
            try:
                answer = await ask(repositories, collection, method, MINE, attempt)
            except DataError:
                pass
            else:
                if isinstance(hostile, str) and (method, named) in STORED_TEXT:
                    assert answer is None or any("hostile-marker" in text for text in _texts(answer)), named
                    before = _all_of(database, collection)
                assert not _shows_something(answer) or (method, named) in STORED_TEXT, (named, hostile, answer)
            assert isinstance(hostile, str) or "hostile-marker" not in repr(recorder.commands), (named, hostile)
    assert _all_of(database, collection) == before


@pytest.mark.parametrize("collection", list(BUILDERS))
async def test_only_fields_of_the_model_can_be_asked_about(repositories: Repositories, collection: str) -> None:
    tenant_path = COLLECTIONS[collection].tenant_path
    for path in ("$where", "$or", "nothing", "_id", "provenance", "provenance.micros", tenant_path, "", "a.b"):
        with pytest.raises(InvalidInput):
            await getattr(repositories, collection).count_about(MINE, {path: "acme"})


@every_question
async def test_an_index_serves_the_question_within_a_time_limit(
    repositories: Repositories,
    database: Database[Any],
    recorder: Recorder,
    collection: str,
    method: str,
    make: Make,
) -> None:
    valid, answer = make(MINE), None
    recorder.commands.clear()
    with contextlib.suppress(AlreadyExists, NotFound, VersionConflict):  # what changes something did so already
        answer = await ask(repositories, collection, method, MINE, valid)
    if isinstance(answer, Page) and len(answer.items) > 1:  # the second page is another query
        first = await ask(repositories, collection, method, MINE, _limited(valid, 1))
        await ask(repositories, collection, method, MINE, _limited(valid, 1, first.next_cursor))
    commands = [c for c in recorder.commands if next(iter(c)) not in ("insert", "getMore", "killCursors")]
    assert commands or method in ("insert", "create")
    for command in commands:
        assert "maxTimeMS" in command, command
        assert not collection_scan(database, command), command
        assert serving_index(command), command


@pytest.mark.parametrize("collection", list(BUILDERS))
async def test_a_cursor_belongs_to_its_tenant_and_question(repositories: Repositories, collection: str) -> None:
    repository = getattr(repositories, collection)
    cursor = (await repository.page(MINE, limit=5)).next_cursor
    with pytest.raises(InvalidInput, match="another question or tenant"):
        await repository.page(OTHER, limit=5, cursor=cursor)
    another = next(name for name in BUILDERS if name != collection)
    with pytest.raises(InvalidInput, match="another question or tenant"):
        await getattr(repositories, another).page(MINE, limit=5, cursor=cursor)
    digest, value, last = json.loads(base64.urlsafe_b64decode(cursor))
    for forged in ([digest, {"$gt": ""}, last], [digest, None, last], [digest, value, []], [digest, value, "$"], [], 7):
        text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode()
        with pytest.raises(InvalidInput):
            await repository.page(MINE, cursor=text)
    for junk in ("", "%%%", "é", "A" * 100_000, cursor[:-9], 7, b"x", {"$gt": ""}):
        with pytest.raises(InvalidInput):
            await repository.page(MINE, cursor=junk)


@pytest.mark.parametrize(("collection", "method", "make"), PAGED, ids=[f"{name}.{method}" for name, method, _ in PAGED])
async def test_pages_show_each_document_once_in_order(
    repositories: Repositories, collection: str, method: str, make: Make
) -> None:
    valid = make(MINE)
    whole = await ask(repositories, collection, method, MINE, _limited(valid, 500))
    assert whole.items
    assert whole.next_cursor is None
    for limit in (1, 4):
        found: list[Document] = []
        cursor = None
        while True:
            page = await ask(repositories, collection, method, MINE, _limited(valid, limit, cursor))
            assert len(page.items) <= limit
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len({document.key() for document in found}) == len(found)
        assert {document.key() for document in found} == {document.key() for document in whole.items}
        sort_path = COLLECTIONS[collection].sort_path
        if method in ("page", "by_status", "in_time_range", "of_user", "by_user", "by_tags"):
            times = [resolve(document, sort_path) for document in found]
            assert times == sorted(times, reverse=True)


async def _prepare(database: Database[Any], method: str) -> None:
    """The state in which a method has something to do that no other method leaves behind."""
    case = {"tenant_id": MINE, "investigation_id": f"{MINE}-investigation-4"}
    if method == "remove_deleted":
        lease = {"owner": f"{MINE}-owner", "until": utc_now() + timedelta(minutes=1)}
        database.investigations.update_one(case, {"$set": {"outbox_lease": lease}})
    if method in ("completions_due", "completion_done"):
        case["investigation_id"] = f"{MINE}-investigation-7"
        database.investigations.update_one(case, {"$set": {"completion_due": 3}})


def _limited(call: Call, limit: int, cursor: str | None = None) -> Call:
    return replace(call, kwargs={**call.kwargs, "limit": limit, "cursor": cursor})


def _with_one_replaced(valid: Call, hostile: object, parameters: set[str]) -> Iterator[tuple[str, Call]]:
    """The call with each of its arguments replaced in turn, also those that it leaves to their defaults."""
    for position in range(len(valid.args)):
        args = (*valid.args[:position], hostile, *valid.args[position + 1 :])
        yield str(position), replace(valid, args=args)
    for name in {*valid.kwargs, *({"limit", "cursor"} & parameters)}:
        yield name, replace(valid, kwargs={**valid.kwargs, name: hostile})


def _all_of(database: Database[Any], collection: str) -> list[Any]:
    tenant_path = COLLECTIONS[collection].tenant_path
    return list(database[collection].find({tenant_path: MINE}, sort={"_id": 1}))


def _texts_of_keys(collection: str) -> list[str]:
    return [text for number in range(30) for text in BUILDERS[collection](MINE, number).key() if len(text) > 8]


def _texts(document: BaseModel) -> list[str]:
    return [value for _, value in document if isinstance(value, str)]


def _shows_something(answer: object) -> bool:
    """Whether an answer holds any document, or counts any."""
    if isinstance(answer, Page):
        return bool(answer.items)
    if isinstance(answer, About):
        return answer.at_least > 0
    if isinstance(answer, tuple):
        return any(getattr(item, "transactions", 1) for item in answer)
    return bool(answer)
