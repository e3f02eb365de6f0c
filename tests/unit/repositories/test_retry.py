"""Retries: transient errors only, bounded, within the time limit."""

from __future__ import annotations

import time

import pymongo
import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure, WriteError

from workbench.errors import AlreadyExists, InvalidInput, TargetUnavailable
from workbench.models.investigations import COLLECTION
from workbench.repositories.operations import Operations, TimeLimitReached
from workbench.repositories.retry import retry
from workbench.settings import Settings

SETTINGS = Settings(_env_file=None, operation_timeout_seconds=2, max_attempts=4)


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_transient_error_is_tried_again() -> None:
    flaky = Flaky(AutoReconnect("lost"), AutoReconnect("lost"))
    assert await retry(flaky, attempts=3) == "answer"
    assert flaky.calls == 3


async def test_attempts_are_bounded() -> None:
    flaky = Flaky(*[AutoReconnect("lost")] * 9)
    with pytest.raises(AutoReconnect):
        await retry(flaky, attempts=3)
    assert flaky.calls == 3


async def test_other_errors_are_not_tried_again() -> None:
    flaky = Flaky(OperationFailure("no", 2))
    with pytest.raises(OperationFailure):
        await retry(flaky, attempts=3)
    assert flaky.calls == 1


async def test_what_is_not_idempotent_runs_once() -> None:
    run = Operations(COLLECTION, SETTINGS).run
    flaky = Flaky(AutoReconnect("lost"))
    with pytest.raises(TargetUnavailable):
        await run(flaky, idempotent=False)
    assert flaky.calls == 1
    flaky = Flaky(AutoReconnect("lost"))
    assert await run(flaky, idempotent=True) == "answer"


async def test_all_attempts_share_one_time_limit() -> None:
    remaining: list[float] = []

    async def operation() -> None:
        left = pymongo._csot.remaining()
        assert left is not None
        remaining.append(left)
        raise AutoReconnect("lost")

    started = time.monotonic()
    with pytest.raises(TargetUnavailable):
        await Operations(COLLECTION, SETTINGS).run(operation, idempotent=True)
    assert time.monotonic() - started < 2
    assert remaining == sorted(remaining, reverse=True)
    assert len(remaining) == 4


REFUSED = {
    "operatorName": "$jsonSchema",
    "schemaRulesNotSatisfied": [
        {
            "operatorName": "properties",
            "propertiesNotSatisfied": [
                {
                    "propertyName": "status",
                    "details": [{"operatorName": "enum", "specifiedAs": {}, "consideredValue": "planted-token"}],
                }
            ],
        },
        {"operatorName": "required", "missingProperties": ["user_id"]},
    ],
}
"""What MongoDB tells of a document that a validator refused (manual, "Understand Schema Validation Error Output")."""


async def test_errors_are_translated_without_their_documents() -> None:
    run = Operations(COLLECTION, SETTINGS).run
    planted = "planted-token"
    details = {"keyPattern": {"tenant_id": 1, "name": 1}, "keyValue": {"name": planted}}
    cases = [
        (DuplicateKeyError(planted, 11000, details), AlreadyExists),
        (OperationFailure("too large", 10334), InvalidInput),
        (OperationFailure(f"broke, full error: {planted}", 2, {"errInfo": planted}), TargetUnavailable),
        (WriteError(planted, 121, {"errInfo": {"details": REFUSED}}), InvalidInput),
        (OperationFailure("slow", 50, {"errmsg": planted}), TimeLimitReached),
        (OverflowError(planted), InvalidInput),
    ]
    for error, expected in cases:
        with pytest.raises(expected) as translated:
            await run(Flaky(error), idempotent=False, key=("case",))
        assert planted not in str(translated.value)
        assert translated.value.__cause__ is None
        assert translated.value.__suppress_context__


async def test_what_a_validator_refuses_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"validator refuses status, user_id$"):
        await Operations(COLLECTION, SETTINGS).run(
            Flaky(WriteError("refused", 121, {"errInfo": {"details": REFUSED}})), idempotent=False
        )
    with pytest.raises(InvalidInput, match=r"validator refuses the document$"):
        await Operations(COLLECTION, SETTINGS).run(Flaky(WriteError("refused", 121, {})), idempotent=False)
