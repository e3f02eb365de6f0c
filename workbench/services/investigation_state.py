"""InvestigationStateService: create, get, update, delete and history of investigations, with all their rules."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from uuid import uuid4

from workbench import faults
from workbench.errors import AccessDenied, InvalidInput, NotFound, VersionConflict, WorkbenchError
from workbench.models.audit_log import ActionType, AuditEntry
from workbench.models.fields import utc_now
from workbench.models.investigations import Investigation
from workbench.repositories import Page, Repositories
from workbench.repositories.investigations import MAX_VERSION, is_deleted, still_true, without_bookkeeping
from workbench.repositories.literals import whole_number
from workbench.repositories.paging import DEFAULT_LIMIT
from workbench.services.audit import AuditTrail, audit_entry
from workbench.services.background import BackgroundTasks
from workbench.services.completion import Completion, CompletionRecord
from workbench.services.entities import EntitySelector, riskiest_transactions, wants_entities
from workbench.services.requests import CreateInvestigation, Request, UpdateInvestigation, User
from workbench.services.transitions import action_of, is_completed, new_state, next_state
from workbench.settings import Settings

logger = logging.getLogger(__name__)

Executor = Callable[[Investigation], Coroutine[Any, Any, object]]
"""What works on a new investigation behind the answer; it gets the investigation as it was created."""

_NAME = "investigations"


class InvestigationStateService:
    """The rules of investigations. Belongs to one event loop; documents that it returns are not changed later.

    Args:
        repositories: of one database.
        settings: `system_user`, `max_attempts`, `workspace_dir` and time limits.
        background: where executors, completion tasks and sweeps run; the owner drains it.
        select_entities: chooses entities where settings ask for it; by default the tenant's riskiest transactions.
        lease_seconds: see `AuditTrail`.
    """

    def __init__(
        self,
        repositories: Repositories,
        settings: Settings,
        *,
        background: BackgroundTasks | None = None,
        select_entities: EntitySelector | None = None,
        lease_seconds: float | None = None,
    ) -> None:
        self._settings = settings
        self._investigations = repositories.investigations
        self._audit = AuditTrail(repositories, settings, lease_seconds=lease_seconds)
        self._completion = Completion(repositories, settings, self._audit)
        self._select_entities = select_entities or riskiest_transactions(repositories.transaction_scores)
        self._swept_at: dict[str, float] = {}
        self.background = BackgroundTasks() if background is None else background

    async def create(
        self, tenant: str, request: CreateInvestigation, *, user: User, executor: Executor | None = None
    ) -> Investigation:
        """A new investigation of the user with version 1 and its CREATED entry.

        Args:
            tenant: whose it will be.
            request: what it starts with.
            user: its owner.
            executor: started behind the answer with the new investigation; its failure is logged.

        Raises:
            AlreadyExists: the id is taken. Ids are taken across tenants, so leave the choice to the service where
                other tenants must not learn of it.
            InvalidInput: a value breaks a rule, or the id was that of a deleted investigation: its history stays,
                and is nobody else's.
        """
        _check(request, CreateInvestigation)
        _check(user, User)
        settings = request.settings
        if wants_entities(settings):
            settings = {**settings, "entities": list(await self._select_entities(tenant, settings))}
        now = utc_now()
        investigation = new_state(
            {
                "investigation_id": request.investigation_id or str(uuid4()),
                "tenant_id": tenant,
                "user_id": user.user_id,
                "lifecycle_stage": request.lifecycle_stage,
                "status": request.status,
                "settings": settings,
                "version": 1,
                "created_at": now,
                "updated_at": now,
                "last_accessed": now,
                "metadata": {
                    "source": request.source,
                    "tags": list(request.tags),
                    "custom_fields": request.custom_fields,
                },
            }
        )
        entry = audit_entry(ActionType.CREATED, user, None, investigation)
        faults.reach("create.before_write")
        if request.investigation_id is not None:
            await self._refuse_used(tenant, request.investigation_id)
        await self._investigations.create(tenant, investigation, entry)
        faults.reach("create.written")
        await self._settle(tenant, investigation.investigation_id)
        if executor:
            self.background.start(f"executor of {investigation.investigation_id}", executor(investigation))
        return investigation

    async def get(self, tenant: str, investigation_id: str, *, user: User) -> Investigation:
        """The investigation, for its owner, an admin of the tenant, or anyone there if it is the system user's.

        Marks it as read now, without a new version.

        Raises:
            NotFound: the tenant has none with this id.
            AccessDenied: it is another user's.
        """
        found = await self._readable(tenant, investigation_id, user)
        self._sweep_sometimes(tenant)
        read_at = await self._investigations.touch(tenant, investigation_id)
        read: dict[str, Any] = {"last_accessed": read_at}
        if found.provenance:
            read["provenance"] = still_true(found.provenance, tuple(read))
        return without_bookkeeping(found).model_copy(update=read)

    async def update(
        self,
        tenant: str,
        investigation_id: str,
        request: UpdateInvestigation,
        *,
        user: User,
        expected_version: int,
    ) -> Investigation:
        """The investigation with the given sections replaced, the next version, and its audit entry.

        A missing risk score of the results is taken from their domain findings. On the change to COMPLETED the
        completion tasks run in the background; whatever becomes of them, the update stands.

        Raises:
            NotFound: the tenant has none with this id, or it was deleted meanwhile.
            AccessDenied: the user is neither its owner nor an admin of the tenant.
            VersionConflict: it has another version than expected.
            InvalidInput: a value breaks a rule; wrong transactions are named.
        """
        _check(request, UpdateInvestigation)
        expected_version = whole_number("expected_version", expected_version, 1, MAX_VERSION)
        before = await self._changeable(tenant, investigation_id, user)
        if before.version != expected_version:
            raise VersionConflict(_NAME, investigation_id, expected=expected_version, actual=before.version)
        after = next_state(before, request)
        completes = is_completed(after) and not is_completed(before)
        if completes or not is_completed(after):
            after = after.model_copy(update={"completion_due": after.version if completes else None})
        entry = audit_entry(action_of(before, after), user, before, after)
        faults.reach("update.before_write")
        stored = await self._investigations.update(tenant, after, entry, expected_version=expected_version)
        faults.reach("update.written")
        await self._settle(tenant, investigation_id)
        if completes:
            self.background.start(f"completion of {investigation_id}", self._completion.run(tenant, investigation_id))
        return without_bookkeeping(stored)

    async def delete(
        self, tenant: str, investigation_id: str, *, user: User, expected_version: int | None = None
    ) -> None:
        """Delete the investigation; its history stays, with a DELETED entry.

        Without an expected version whatever version is there is deleted.

        Raises:
            NotFound: the tenant has none with this id.
            AccessDenied: the user is neither its owner nor an admin of the tenant.
            VersionConflict: it has another version than expected.
        """
        if expected_version is not None:
            whole_number("expected_version", expected_version, 1, MAX_VERSION)
        for attempt in range(1, self._settings.max_attempts + 1):
            present = await self._changeable(tenant, investigation_id, user)
            entry = audit_entry(ActionType.DELETED, user, present, None)
            faults.reach("delete.before_write")
            try:
                await self._investigations.mark_deleted(
                    tenant,
                    investigation_id,
                    entry,
                    expected_version=present.version if expected_version is None else expected_version,
                )
                break
            except VersionConflict:
                if expected_version is not None or attempt == self._settings.max_attempts:
                    raise
        faults.reach("delete.written")
        await self._settle(tenant, investigation_id)

    async def history(
        self,
        tenant: str,
        investigation_id: str,
        *,
        user: User,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """The audit entries of an investigation, newest first, also after its deletion.

        Raises:
            NotFound: the tenant never had one with this id.
            AccessDenied: it is (or was, when it was deleted) another user's.
        """
        _check(user, User)
        present = await self._investigations.find_with_deleted(tenant, investigation_id)
        if present:
            owner: object = present.user_id
        else:
            newest = await self._audit.history(tenant, investigation_id, limit=1)
            snapshot = newest.items[0].state_snapshot
            owner = snapshot.get("user_id") if isinstance(snapshot, Mapping) else None
        if not self._may_read(user, owner):
            raise _denied(investigation_id)
        self._sweep_sometimes(tenant)
        return await self._audit.history(tenant, investigation_id, limit=limit, cursor=cursor)

    async def complete(self, tenant: str, investigation_id: str, *, user: User) -> CompletionRecord:
        """Run the completion tasks now, and say what they did; they may run any number of times.

        Raises:
            NotFound: the tenant has none with this id.
            AccessDenied: the user is neither its owner nor an admin of the tenant.
            InvalidInput: the investigation is not COMPLETED.
        """
        if not is_completed(await self._changeable(tenant, investigation_id, user)):
            raise InvalidInput("status", "is not COMPLETED")
        return await self._completion.run(tenant, investigation_id)

    async def sweep(self, tenant: str) -> int:
        """End what killed processes began: move what waits in the outboxes of a tenant to its log, and run completion
        tasks that are due; how many entries and completions.

        The service does so by itself, behind operations, once in the length of a lease.
        """
        moved = await self._audit.sweep(tenant)
        return moved + await self._completion.sweep(tenant, untouched_seconds=self._audit.lease_seconds)

    # -- steps -----------------------------------------------------------------------------------------------------

    async def _refuse_used(self, tenant: str, investigation_id: str) -> None:
        """Refuse the id of an investigation that was deleted, also of one whose deletion was interrupted."""
        present = await self._investigations.find_with_deleted(tenant, investigation_id)
        if present is not None and is_deleted(present):
            await self._audit.move(tenant, investigation_id)
            present = None
        if present is None and await self._audit.has_history(tenant, investigation_id):
            raise InvalidInput("investigation_id", f"{investigation_id!r} was deleted; its history stays under this id")

    async def _settle(self, tenant: str, investigation_id: str) -> None:
        """Move the entry to the log. The change stands already, so a failure only leaves it to a later mover."""
        try:
            await self._audit.move(tenant, investigation_id)
        except WorkbenchError as error:
            logger.warning("The audit entry of %s stays in its outbox for now: %s", investigation_id, error)
        self._sweep_sometimes(tenant)

    def _sweep_sometimes(self, tenant: str) -> None:
        now = time.monotonic()
        if now - self._swept_at.get(tenant, -float("inf")) >= self._audit.lease_seconds:
            self._swept_at[tenant] = now
            self.background.start(f"sweep of tenant {tenant}", self.sweep(tenant))

    async def _readable(self, tenant: str, investigation_id: str, user: User) -> Investigation:
        _check(user, User)
        found = await self._investigations.get(tenant, investigation_id)
        if not self._may_read(user, found.user_id):
            raise _denied(investigation_id)
        return found

    def _may_read(self, user: User, owner: object) -> bool:
        return user.is_admin or owner in (user.user_id, self._settings.system_user)

    async def _changeable(self, tenant: str, investigation_id: str, user: User) -> Investigation:
        _check(user, User)
        found = await self._investigations.find_with_deleted(tenant, investigation_id)
        if found is not None and is_deleted(found):
            await self._audit.move(tenant, investigation_id)
            found = None
        if found is None:
            raise NotFound(_NAME, investigation_id)
        if not user.is_admin and found.user_id != user.user_id:
            raise _denied(investigation_id)
        return found


def _check(request: object, kind: type[Request]) -> None:
    if not isinstance(request, kind):
        raise InvalidInput(kind.__name__, f"is expected, found {type(request).__name__}")


def _denied(investigation_id: str) -> AccessDenied:
    return AccessDenied(
        f"investigations: {investigation_id!r} belongs to another user.", todo="Ask its owner or an admin."
    )
