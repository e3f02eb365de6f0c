"""What the drivers' errors mean, and what tells that a server restarted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from workbench.connections import is_sharded, is_transient, server_incarnation


@pytest.mark.parametrize("code", [6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436])
def test_server_errors_that_pass_are_tried_again_without_their_label(code: int) -> None:
    assert is_transient(OperationFailure("not now", code))
    assert is_transient(BulkWriteError({"writeErrors": [{"code": code}], "writeConcernErrors": []}))


def test_labels_and_lost_connections_are_transient() -> None:
    labelled = PyMongoError("not now")
    labelled._add_error_label("RetryableWriteError")
    for error in (labelled, AutoReconnect("lost"), psycopg.OperationalError("lost")):
        assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("unauthorized", 13),
        DuplicateKeyError("twice", 11000),
        BulkWriteError({"writeErrors": [{"code": 91}, {"code": 11000}]}),
        BulkWriteError({}),
        psycopg.errors.UndefinedColumn("no"),
        ValueError("no"),
    ],
)
def test_other_errors_are_final(error: Exception) -> None:
    assert not is_transient(error)


class Servers:
    """A client whose every `hello` another server answers."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.admin, self.answers = self, list(answers)

    def command(self, name: str) -> dict[str, Any]:
        assert name == "hello"
        return self.answers.pop(0)


def incarnations(*answers: dict[str, Any]) -> set[str]:
    client: Any = Servers(*answers)
    return {server_incarnation(client) for _ in answers}


def test_several_routers_are_no_restart() -> None:
    routers = [{"msg": "isdbgrid", "topologyVersion": {"processId": each}} for each in "ab"]
    assert len(incarnations(*routers)) == 1
    router: Any = Servers(routers[0])
    assert is_sharded(router)


def test_a_restart_and_an_election_are_told() -> None:
    first = {"setVersion": 1, "electionId": 1, "topologyVersion": {"processId": "a"}}
    assert len(incarnations(first, dict(first))) == 1
    assert len(incarnations(first, {**first, "topologyVersion": {"processId": "b"}}, {**first, "electionId": 2})) == 3
