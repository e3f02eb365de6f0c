"""The audit trail: no change without its entry, no entry lost or doubled, whatever is killed.

`audit_log` is a time series: it takes part in no transaction and has no unique index. So a change and its entry are
one atomic write of the investigation, where the entry waits in the array `outbox`. The mover then

1. leases the outbox (one atomic write; an outbox that is empty or leased by someone else is left alone),
2. inserts each entry that `audit_log` does not hold yet (looked up by `entry_id`),
3. takes the entries out of the outbox and gives the lease back (one atomic write) or, where the investigation was
   deleted, removes it: only then is it gone. A long outbox goes in portions, its DELETED entry in the last.

Killed anywhere, the entry is still in the outbox, and the next operation on the investigation, or the next sweep of
its tenant, continues after the lease has run out. History reads the outbox first and the log after, and shows each
entry once.

Guarantee: each entry is in the log at least once, and exactly once as long as no mover is suspended for longer than
its lease between its look-up and its insert (both together are limited to half of the lease, and none starts in the
second half). If that happens, the log holds the entry twice with one `entry_id`, and history still shows it once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from bson import encode
from pydantic import ValidationError

from workbench import faults
from workbench.errors import DataError, InvalidInput, NotFound
from workbench.models.audit_log import ActionType, AuditEntry
from workbench.models.document import bson_value, python_value
from workbench.models.fields import MAX_MEASUREMENT_BYTES, utc_now
from workbench.models.investigations import Investigation, OutboxLease
from workbench.repositories import Page, Repositories
from workbench.repositories.investigations import is_deleted
from workbench.repositories.paging import DEFAULT_LIMIT
from workbench.services.changes import changed_fields
from workbench.services.requests import User
from workbench.settings import Settings

logger = logging.getLogger(__name__)

_NOT_STATE = ("outbox", "outbox_lease", "completion_due", "provenance", "last_accessed")
_ROOM_BYTES = 64 * 1024
_PORTION = 100
"""Entries moved under one lease: an outbox that nobody could move for long must not outlast it."""


class AuditTrail:
    """Makes entries, moves them from the outboxes to the log, and reads both.

    Args:
        repositories: of one database.
        settings: `operation_timeout_seconds` decides the length of a lease.
        lease_seconds: how long a mover has an outbox to itself; by default four times an operation's limit.
    """

    def __init__(self, repositories: Repositories, settings: Settings, *, lease_seconds: float | None = None) -> None:
        self._investigations = repositories.investigations
        self._log = repositories.audit_log
        self.lease_seconds = lease_seconds or 4 * settings.operation_timeout_seconds

    async def move(self, tenant: str, investigation_id: str) -> int:
        """Move the entries that wait in an investigation's outbox to the log; how many. Safe at any time."""
        moved = 0
        while True:
            owner = uuid4().hex
            deadline = time.monotonic() + self.lease_seconds / 2
            lease = OutboxLease(owner=owner, until=utc_now() + timedelta(seconds=self.lease_seconds))
            leased = await self._investigations.lease_outbox(tenant, investigation_id, lease)
            if leased is None:
                return moved
            faults.reach("outbox.leased")
            entries = sorted(leased.outbox, key=lambda entry: entry.metadata.action_type == ActionType.DELETED)
            portion = entries[:_PORTION]
            for entry in portion:
                if time.monotonic() > deadline:
                    logger.warning("Gave up moving the outbox of %s: too slow for its lease", investigation_id)
                    return moved
                await self._append(tenant, entry)
                moved += 1
            faults.reach("outbox.inserted")
            if is_deleted(leased) and len(portion) == len(entries):
                await self._investigations.remove_deleted(tenant, investigation_id, owner)
                faults.reach("outbox.removed")
                return moved
            ids = [entry.entry_id for entry in portion if entry.metadata.action_type != ActionType.DELETED]
            left = await self._investigations.release_outbox(tenant, investigation_id, owner, ids)
            faults.reach("outbox.removed")
            if left is None or not left.outbox:
                return moved
            # More than a portion, or a change that came in while the outbox was leased: its own mover left it to us.

    async def sweep(self, tenant: str, *, limit: int = 100) -> int:
        """Move what earlier processes left in up to `limit` outboxes of a tenant; how many entries.

        One that cannot be moved is logged and does not stop the others.
        """
        moved = 0
        for investigation_id in await self._investigations.waiting(tenant, limit=limit):
            try:
                moved += await self.move(tenant, investigation_id)
            except DataError as error:
                logger.error("The audit entries of %s stay in its outbox: %s", investigation_id, error)
        return moved

    async def has_history(self, tenant: str, investigation_id: str) -> bool:
        """Whether the log holds entries of an investigation, present or gone."""
        return bool((await self._log.of_investigation(tenant, investigation_id, limit=1)).items)

    async def history(
        self, tenant: str, investigation_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """The entries of an investigation, also of one that is deleted, newest first.

        Raises:
            NotFound: the tenant never had such an investigation.
        """
        present = await self._investigations.find_with_deleted(tenant, investigation_id)
        pending = present.outbox if present else []
        page = await self._log.of_investigation(tenant, investigation_id, pending=pending, limit=limit, cursor=cursor)
        if present is None and not page.items and cursor is None:
            raise NotFound("investigations", investigation_id)
        return page

    async def _append(self, tenant: str, entry: AuditEntry) -> None:
        if await self._log.find_one(tenant, entry.entry_id) is None:
            await self._log.insert(tenant, entry)


def audit_entry(
    action: ActionType, user: User, before: Investigation | None, after: Investigation | None
) -> AuditEntry:
    """The entry of a change from one state to another, at the time of the new state.

    A state that would make the entry larger than a measurement may be is told in part, see `_fitting`: no
    investigation becomes unchangeable because it is large.

    Raises:
        InvalidInput: the state is nested too deeply for an entry.
    """
    subject = after or before
    if subject is None:
        raise ValueError("an entry needs a state")
    old, new = (_state(before) if before else {}), (_state(after) if after else {})
    try:
        entry = AuditEntry.model_validate(
            {
                "entry_id": str(uuid4()),
                "timestamp": after.updated_at if after else utc_now_after(subject),
                "metadata": {
                    "investigation_id": subject.investigation_id,
                    "user_id": user.user_id,
                    "tenant_id": subject.tenant_id,
                    "action_type": action,
                    "source": user.source,
                },
                "changes": changed_fields(_content(old), _content(new)) if before and after else None,
                "state_snapshot": new or old,
                "from_version": before.version if before else 0,
                "to_version": after.version if after else None,
            }
        )
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInput(str(problem["loc"][0]), f"cannot be audited: {problem['msg']}") from None
    return _fitting(entry)


def utc_now_after(investigation: Investigation) -> datetime:
    """The present time, but later than the investigation's last change, so that times order like versions."""
    return max(utc_now(), investigation.updated_at + timedelta(milliseconds=1))


def _state(investigation: Investigation) -> dict[str, Any]:
    """What an entry tells of an investigation, in the models' types: a wide JSON number is a `Decimal`."""
    stored = bson_value(investigation)
    return {name: python_value(value) for name, value in stored.items() if name not in _NOT_STATE}


def _content(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in ("version", "updated_at")}


def _fitting(entry: AuditEntry) -> AuditEntry:
    """The entry; where it would exceed a measurement's 4 MB, without what is largest in it, which is named instead.

    First the snapshot goes without its transaction scores, which have a collection of their own; then sections of the
    snapshot and of the changes, the largest first, are told by their size and SHA-256.
    """
    if _fits(entry):
        return entry
    results = dict(entry.state_snapshot.get("results") or {})
    scores = results.pop("transaction_scores", None) or {}
    snapshot = {**entry.state_snapshot, "results": {**results, "omitted_transaction_scores": len(scores)}}
    if scores:
        entry = entry.model_copy(update={"state_snapshot": snapshot})
    while not _fits(entry):
        parts = {"state_snapshot": dict(entry.state_snapshot), "changes": dict(entry.changes or {})}
        sizes = {(part, name): len(_encoded(value)) for part, told in parts.items() for name, value in told.items()}
        part, name = max(sizes, key=lambda place: sizes[place])
        digest = hashlib.sha256(_encoded(parts[part][name])).hexdigest()
        parts[part][name] = {"omitted_bytes": sizes[part, name], "sha256": digest}
        entry = entry.model_copy(update={**parts, "changes": None if entry.changes is None else parts["changes"]})
    return entry


def _encoded(value: Any) -> bytes:
    return encode({"value": bson_value(value)})


def _fits(entry: AuditEntry) -> bool:
    return len(encode(entry.to_bson())) <= MAX_MEASUREMENT_BYTES - _ROOM_BYTES
