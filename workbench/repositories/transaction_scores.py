"""transaction_scores: the risk of each transaction of an investigation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from workbench.errors import AlreadyExists, InvalidInput
from workbench.models.document import resolve
from workbench.models.transaction_scores import TransactionScore
from workbench.repositories.base import OpenRepository
from workbench.repositories.literals import Stored, literals, tenant_literal, whole_number
from workbench.repositories.paging import DEFAULT_LIMIT, Order, Page, Ties

_DUPLICATE_KEY = 11000
_BY_TRANSACTION = Order("transaction_id", 1, Ties.NONE)
_BY_RISK = Order("risk_score")


@dataclass(frozen=True)
class Bin:
    """Transactions with low <= risk score < high; the last bin includes 1."""

    low: float
    high: float
    transactions: int


@dataclass(frozen=True)
class Average:
    """The transactions of one investigation."""

    investigation_id: str
    transactions: int
    mean_risk_score: float
    max_risk_score: float


@dataclass(frozen=True)
class WriteCounts:
    """What a bulk write did."""

    inserted: int
    changed: int
    unchanged: int


class TransactionScoreRepository(OpenRepository[TransactionScore]):
    """Scores of transactions, by far the most documents."""

    document = TransactionScore

    async def of_investigation(
        self, tenant: str, investigation_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[TransactionScore]:
        """The scores of an investigation by transaction id."""
        where = {"investigation_id": investigation_id}
        return await self._page(tenant, where, order=_BY_TRANSACTION, limit=limit, cursor=cursor)

    async def riskiest(
        self, tenant: str, investigation_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[TransactionScore]:
        """The scores of an investigation, highest first; the first page is its top `limit`."""
        where = {"investigation_id": investigation_id}
        return await self._page(tenant, where, order=_BY_RISK, limit=limit, cursor=cursor)

    async def page(
        self, tenant: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[TransactionScore]:
        """The scores of all investigations of the tenant, highest first; no index has them by time."""
        return await self._page(tenant, {}, order=_BY_RISK, limit=limit, cursor=cursor)

    async def distribution(self, tenant: str, investigation_id: str, *, bins: int = 10) -> tuple[Bin, ...]:
        """How many transactions of an investigation fall into each of `bins` (1 to 1,000) equal ranges of 0 to 1."""
        bins = whole_number("bins", bins, 1, 1_000)
        position = {"$min": [{"$floor": {"$multiply": ["$risk_score", bins]}}, bins - 1]}
        found = await self._aggregate(
            self._filter(tenant, {"investigation_id": investigation_id}),
            {"$group": {"_id": position, "transactions": {"$sum": 1}}},
        )
        counts = {int(group["_id"]): group["transactions"] for group in found}
        return tuple(Bin(number / bins, (number + 1) / bins, counts.get(number, 0)) for number in range(bins))

    async def averages(self, tenant: str, investigation_ids: Sequence[str]) -> tuple[Average, ...]:
        """Number, mean and highest score of each of up to 500 investigations that has any score."""
        path = "investigation_id"
        found = await self._aggregate(
            {**self._filter(tenant), path: {"$in": literals(self.document, path, investigation_ids)}},
            {
                "$group": {
                    "_id": f"${path}",
                    "transactions": {"$sum": 1},
                    "mean": {"$avg": "$risk_score"},
                    "max": {"$max": "$risk_score"},
                }
            },
            {"$sort": {"_id": 1}},
        )
        return tuple(Average(group["_id"], group["transactions"], group["mean"], group["max"]) for group in found)

    async def write(self, tenant: str, scores: Sequence[TransactionScore]) -> WriteCounts:
        """Insert new scores and set the risk of those that are there; writing the same again changes nothing.

        Sent in unordered batches of `settings.batch_rows`, each retried on transient errors.

        Raises:
            InvalidInput: a score is another tenant's; nothing was written.
            AlreadyExists: another tenant has scores with these keys; the others were written.
        """
        tenant = tenant_literal(tenant)
        if not isinstance(scores, Sequence):
            raise InvalidInput("scores", "must be a list of scores")
        for score in scores:
            if not isinstance(score, TransactionScore):
                raise InvalidInput("scores", "must be TransactionScore documents")
            if resolve(score, self.spec.tenant_path) != tenant:
                raise InvalidInput(self.spec.tenant_path, "is not the tenant of the call")
        inserted = changed = unchanged = refused = 0
        for batch in _batches(scores, self._settings.batch_rows):
            counts = await self._write_batch([_upsert(score.to_bson()) for score in batch])
            inserted, changed = inserted + counts.inserted, changed + counts.changed
            unchanged += counts.unchanged
            refused += len(batch) - counts.inserted - counts.changed - counts.unchanged
        if refused:
            raise AlreadyExists(self.spec.name, f"{refused} of {len(scores)} scores")
        return WriteCounts(inserted, changed, unchanged)

    async def _write_batch(self, operations: list[UpdateOne]) -> WriteCounts:
        """Two upserts of one new key at the same time make one fail, so duplicates are sent a second time."""
        first, duplicates = await self._send(operations)
        if not duplicates:
            return first
        second, _ = await self._send(duplicates)
        return WriteCounts(
            first.inserted + second.inserted, first.changed + second.changed, first.unchanged + second.unchanged
        )

    async def _send(self, operations: list[UpdateOne]) -> tuple[WriteCounts, list[UpdateOne]]:
        async def write() -> tuple[WriteCounts, list[UpdateOne]]:
            try:
                result = await self._collection.bulk_write(operations, ordered=False)
                return _counts(result.bulk_api_result), []
            except BulkWriteError as error:
                details = error.details or {}
                others = [e for e in details["writeErrors"] if e["code"] != _DUPLICATE_KEY]
                if others or details["writeConcernErrors"]:
                    raise
                return _counts(details), [operations[e["index"]] for e in details["writeErrors"]]

        return await self._run(write, idempotent=True)


def _counts(details: Mapping[str, Any]) -> WriteCounts:
    changed = details["nModified"]
    return WriteCounts(details["nUpserted"], changed, details["nMatched"] - changed)


def _upsert(stored: Stored) -> UpdateOne:
    """The tenant is in the filter: another tenant's document with this key is a duplicate, never overwritten."""
    paths = ("_id", "tenant_id", "investigation_id", "transaction_id")
    set_on_insert = {path: value for path, value in stored.items() if path not in (*paths, "risk_score")}
    update: Stored = {"$set": {"risk_score": stored["risk_score"]}, "$setOnInsert": set_on_insert}
    return UpdateOne({path: stored[path] for path in paths}, update, upsert=True)


def _batches(scores: Sequence[TransactionScore], size: int) -> Iterator[list[TransactionScore]]:
    rest = iter(scores)
    while batch := list(islice(rest, size)):
        yield batch
