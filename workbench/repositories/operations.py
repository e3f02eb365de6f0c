"""How an operation of the driver is run: limited in time, retried only if idempotent, its errors translated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import pymongo
from bson.errors import BSONError
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from workbench.connections import translate_target_error
from workbench.errors import AlreadyExists, InvalidInput, TargetUnavailable, WorkbenchError
from workbench.models.spec import Collection
from workbench.repositories.retry import retry
from workbench.settings import Settings

T = TypeVar("T")

_REFUSED_BY_VALIDATOR = 121
_TOO_LARGE = {10334, 17280, 17419, 17420}
"""BSONObjectTooLarge and the codes of updates that would grow a document beyond 16 MB."""


class TimeLimitReached(TargetUnavailable):
    """An operation took longer than it may; whether a write took place is not known."""


class Operations:
    """Runs the operations of one collection."""

    def __init__(self, spec: Collection, settings: Settings) -> None:
        self._spec = spec
        self._seconds = settings.operation_timeout_seconds
        self._attempts = settings.max_attempts

    async def run(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        idempotent: bool,
        key: Sequence[object] = (),
        seconds: float | None = None,
    ) -> T:
        """What the operation returns.

        Args:
            operation: calls the driver; called again on transient errors if it is idempotent (see `retry`).
            idempotent: whether a second run has no second effect and the same answer.
            key: the natural key of a document that is stored, for the error that says it is taken.
            seconds: the limit of all attempts together; the driver hands what is left of it to the server.

        Raises:
            WorkbenchError: the driver's error translated. It is not chained, because a driver's error quotes
                documents, and some of them hold tokens.
        """
        try:
            with pymongo.timeout(seconds or self._seconds):
                return await retry(operation, attempts=self._attempts if idempotent else 1)
        except (PyMongoError, BSONError, UnicodeEncodeError, OverflowError) as error:
            raise self._translate(error, key) from None

    def _translate(self, error: Exception, key: Sequence[object]) -> WorkbenchError:
        name = self._spec.name
        if not isinstance(error, PyMongoError):
            return InvalidInput(name, f"the document cannot be stored ({type(error).__name__})")
        if isinstance(error, DuplicateKeyError):
            taken = [path for path in (error.details or {}).get("keyPattern", {}) if path != self._spec.tenant_path]
            of_key = taken in ([], ["_id"], list(self._spec.natural_key))
            return AlreadyExists(name, shown(key) if of_key else f"of the same {', '.join(taken)}")
        if error.timeout:
            return TimeLimitReached(f"{name}: the operation was stopped at its time limit.")
        if isinstance(error, OperationFailure) and error.code in _TOO_LARGE:
            return InvalidInput(name, "the document would be larger than 16 MB")
        if isinstance(error, OperationFailure) and error.code == _REFUSED_BY_VALIDATOR:
            fields = ", ".join(dict.fromkeys(_refused_fields(error.details or {}))) or "the document"
            return InvalidInput(name, f"the collection's validator refuses {fields}")
        return translate_target_error(error)


def _refused_fields(details: object) -> Iterator[str]:
    """The names of fields in what a server tells of a failed validation (manual, schema validation: error output)."""
    if isinstance(details, Mapping):
        if "propertyName" in details:
            yield str(details["propertyName"])
        missing = details.get("missingProperties")
        if isinstance(missing, list):
            yield from map(str, missing)
        for name, value in details.items():
            if name not in ("consideredValue", "specifiedAs"):
                yield from _refused_fields(value)
    elif isinstance(details, list):
        for item in details:
            yield from _refused_fields(item)


def shown(key: Sequence[object]) -> object:
    """A natural key as errors show it: a single value by itself."""
    return key[0] if len(key) == 1 else tuple(key)
