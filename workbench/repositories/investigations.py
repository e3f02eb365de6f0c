"""investigations: state under optimistic locking, with the outbox of its audit entries.

A change carries its audit entry: both are one atomic write. Rules on who may do what are the service's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from workbench.errors import InvalidInput, NotFound
from workbench.models.audit_log import ActionType, AuditEntry
from workbench.models.document import Provenance, bson_value
from workbench.models.fields import utc_now
from workbench.models.investigations import (
    EPOCH,
    Investigation,
    InvestigationStatus,
    LifecycleStage,
    OutboxLease,
    Progress,
)
from workbench.repositories.base import Repository
from workbench.repositories.literals import Stored, instant, literal, literals, tenant_literal, whole_number
from workbench.repositories.paging import DEFAULT_LIMIT, MAX_LIMIT, Page

T = TypeVar("T")

_STATE_FIELDS = (
    *("lifecycle_stage", "status", "settings", "progress", "results", "metadata", "updated_at"),
    "completion_due",
)
MAX_VERSION = 2**31 - 2
"""The last version that can still be changed."""
_NOT_DELETED: Stored = {"outbox.metadata.action_type": {"$ne": ActionType.DELETED.value}}


class InvestigationRepository(Repository[Investigation]):
    """Investigations. Lists leave the transaction scores of the results out; `get` reads them."""

    document = Investigation
    left_out = ("results.transaction_scores",)

    async def by_user(
        self, tenant: str, user_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Investigation]:
        """Investigations of a user, newest first."""
        return await self._page(tenant, {"user_id": user_id}, limit=limit, cursor=cursor)

    async def by_status(
        self, tenant: str, status: InvestigationStatus, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Investigation]:
        """Investigations in a status, newest first."""
        return await self._page(tenant, {"status": status}, limit=limit, cursor=cursor)

    async def by_stage(
        self, tenant: str, stage: LifecycleStage, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Investigation]:
        """Investigations in a lifecycle stage, newest first."""
        return await self._page(tenant, {"lifecycle_stage": stage}, limit=limit, cursor=cursor)

    async def create(self, tenant: str, investigation: Investigation, entry: AuditEntry) -> None:
        """Store a new investigation; its audit entry waits in the outbox.

        Raises:
            InvalidInput: it is another tenant's, or too large.
            AlreadyExists: its id is taken, by whatever tenant.
        """
        if not isinstance(investigation, Investigation):
            raise InvalidInput("investigation", "must be an Investigation")
        self._check_entry(tenant, investigation.investigation_id, entry)
        await self._insert(tenant, investigation.model_copy(update={"outbox": [entry]}))

    async def touch(self, tenant: str, investigation_id: str) -> datetime:
        """Mark the investigation as read now, without a new version; that time.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        now = utc_now()
        update = {"$max": {"last_accessed": now}}
        if not await self._matched(tenant, (investigation_id,), update, guard=_NOT_DELETED, idempotent=True):
            raise NotFound(self.spec.name, investigation_id)
        return now

    async def update(
        self, tenant: str, investigation: Investigation, entry: AuditEntry, *, expected_version: int
    ) -> Investigation:
        """The investigation with a new state and the next version; its audit entry waits in the outbox.

        Raises:
            NotFound: it is gone, or another tenant's.
            VersionConflict: someone else changed it first.
        """
        if not isinstance(investigation, Investigation):
            raise InvalidInput("investigation", "must be an Investigation")
        key = (investigation.investigation_id,)
        self._check_entry(tenant, key[0], entry)
        values = {name: bson_value(getattr(investigation, name)) for name in _STATE_FIELDS}
        provenance = investigation.provenance and still_true(investigation.provenance, _STATE_FIELDS)
        if provenance:
            values["provenance"] = provenance
        version = await self._change_state(tenant, key, values, entry, expected_version)
        return investigation.model_copy(update={"version": version, "provenance": provenance})

    async def update_progress(
        self, tenant: str, investigation_id: str, progress: Progress, entry: AuditEntry, *, expected_version: int
    ) -> Investigation:
        """The investigation with a new progress and the next version; its audit entry waits in the outbox.

        Raises:
            NotFound: it is gone, or another tenant's.
            VersionConflict: someone else changed it first.
        """
        if not isinstance(progress, Progress):
            raise InvalidInput("progress", "must be a Progress")
        self._check_entry(tenant, investigation_id, entry)
        values = {"progress": bson_value(progress), "updated_at": utc_now()}
        await self._change_state(tenant, (investigation_id,), values, entry, expected_version)
        return await self.get(tenant, investigation_id)

    async def mark_deleted(
        self, tenant: str, investigation_id: str, entry: AuditEntry, *, expected_version: int
    ) -> None:
        """Delete the investigation for all other methods; it is there until its DELETED entry has left the outbox.

        Raises:
            NotFound: it is gone, or another tenant's.
            VersionConflict: someone else changed it first.
        """
        self._check_entry(tenant, investigation_id, entry)
        if entry.metadata.action_type != ActionType.DELETED:
            raise InvalidInput("entry", "must be a DELETED entry")
        version = whole_number("expected_version", expected_version, 1, MAX_VERSION)
        update = {"$push": {"outbox": bson_value(entry)}}
        await self._change_version(tenant, (investigation_id,), update, expected=version, guard=_NOT_DELETED)

    async def _change_state(
        self, tenant: str, key: tuple[str], values: Stored, entry: AuditEntry, expected: int
    ) -> int:
        version = whole_number("expected_version", expected, 1, MAX_VERSION)
        update = {"$set": {**values, "version": version + 1}, "$push": {"outbox": bson_value(entry)}}
        await self._change_version(tenant, key, update, expected=version, guard=_NOT_DELETED)
        return version + 1

    def _check_entry(self, tenant: str, investigation_id: object, entry: AuditEntry) -> None:
        if not isinstance(entry, AuditEntry):
            raise InvalidInput("entry", "must be an AuditEntry")
        of = (tenant_literal(tenant), literal(self.document, "investigation_id", investigation_id))
        if (entry.metadata.tenant_id, entry.metadata.investigation_id) != of:
            raise InvalidInput("entry", "belongs to another investigation or tenant")

    def _is_live(self, stored: Stored) -> bool:
        return not any(entry["metadata"]["action_type"] == ActionType.DELETED for entry in stored.get("outbox", ()))

    # -- completion ------------------------------------------------------------------------------------------------

    async def completions_due(self, tenant: str, before: datetime, *, limit: int = DEFAULT_LIMIT) -> tuple[str, ...]:
        """Ids of investigations whose completion tasks are due and that have not changed since a time."""
        limit = whole_number("limit", limit, 1, MAX_LIMIT)
        since = {"updated_at": {"$lt": instant("before", before)}}
        filter = {**self._filter(tenant), "completion_due": {"$gte": 1}, **since}
        projection = {"_id": 0, "investigation_id": 1}

        async def read() -> list[Stored]:
            return await self._collection.find(filter, projection, limit=limit).to_list()

        return tuple(stored["investigation_id"] for stored in await self._run(read, idempotent=True))

    async def completion_done(self, tenant: str, investigation_id: str, version: int) -> bool:
        """Note that the completion tasks ran for a version; whether they were due for it or one before."""
        due: Stored = {"completion_due": {"$lte": whole_number("version", version, 1, MAX_VERSION)}}
        update: Stored = {"$set": {"completion_due": None}}
        return await self._matched(tenant, (investigation_id,), update, guard=due, idempotent=True)

    # -- the outbox ------------------------------------------------------------------------------------------------

    async def find_with_deleted(self, tenant: str, investigation_id: str) -> Investigation | None:
        """The investigation, also while its deletion is not complete (`is_deleted`); None if there is nothing."""
        filter = self._key_filter(tenant, (investigation_id,))
        stored = await self._run(lambda: self._collection.find_one(filter), idempotent=True)
        return None if stored is None else self._load(stored)

    async def waiting(self, tenant: str, *, limit: int = DEFAULT_LIMIT) -> tuple[str, ...]:
        """Ids of investigations that have entries in their outbox, those that wait longest first."""
        limit = whole_number("limit", limit, 1, MAX_LIMIT)
        filter = {**self._filter(tenant), "outbox.timestamp": {"$gte": EPOCH}}
        projection = {"_id": 0, "investigation_id": 1}

        async def read() -> list[Stored]:
            return await self._collection.find(filter, projection, sort={"outbox.timestamp": 1}, limit=limit).to_list()

        return tuple(stored["investigation_id"] for stored in await self._run(read, idempotent=True))

    async def lease_outbox(self, tenant: str, investigation_id: str, lease: OutboxLease) -> Investigation | None:
        """The investigation with its outbox leased to an owner, or None if it is empty or someone else's for now."""
        if not isinstance(lease, OutboxLease):
            raise InvalidInput("lease", "must be an OutboxLease")
        free = {"outbox.0": {"$exists": True}, "outbox_lease.until": {"$not": {"$gte": utc_now()}}}
        update = {"$set": {"outbox_lease": bson_value(lease)}}
        leased = await self._matched(tenant, (investigation_id,), update, guard=free)
        return await self.find_with_deleted(tenant, investigation_id) if leased else None

    async def release_outbox(
        self, tenant: str, investigation_id: str, owner: str, moved: Iterable[str]
    ) -> Investigation | None:
        """The investigation without the moved entries (their ids) and without lease; None if the lease was lost."""
        mine = {"outbox_lease.owner": literal(self.document, "outbox_lease.owner", owner)}
        ids = literals(AuditEntry, "entry_id", moved)
        update = {"$pull": {"outbox": {"entry_id": {"$in": ids}}}, "$set": {"outbox_lease": None}}
        released = await self._matched(tenant, (investigation_id,), update, guard=mine)
        return await self.find_with_deleted(tenant, investigation_id) if released else None

    async def remove_deleted(self, tenant: str, investigation_id: str, owner: str) -> bool:
        """Remove a deleted investigation whose entries have all been moved; whether the lease was still held."""
        mine = {"outbox_lease.owner": literal(self.document, "outbox_lease.owner", owner)}
        deleted = {"outbox.metadata.action_type": ActionType.DELETED.value}
        key = (investigation_id,)
        filter = {"_id": self._id(key), **self._key_filter(tenant, key), **mine, **deleted}
        result = await self._run(lambda: self._collection.delete_one(filter), idempotent=False)
        return result.deleted_count == 1


def without_bookkeeping(investigation: Investigation) -> Investigation:
    """The state as callers know it: where its audit entries are, and what is still to be done, is the service's own."""
    return investigation.model_copy(update={"outbox": [], "outbox_lease": None, "completion_due": None})


def is_deleted(investigation: Investigation) -> bool:
    """Whether its DELETED entry waits in the outbox: for everyone else it is gone."""
    return any(entry.metadata.action_type == ActionType.DELETED for entry in investigation.outbox)


def still_true(provenance: Provenance, changed: Sequence[str]) -> Provenance:
    """Provenance without what it says about fields that now have other values."""
    kept = provenance.copy()
    if "micros" in kept:
        kept["micros"] = _of_others(kept["micros"], changed)
    if "exact" in kept:
        kept["exact"] = _of_others(kept["exact"], changed)
    return kept


def _of_others(notes: Mapping[str, T], changed: Sequence[str]) -> dict[str, T]:
    return {path: note for path, note in notes.items() if path.split(".", 1)[0] not in changed}
