"""What runs when an investigation is completed: lint, manifest, package for comparison runs, workspace registry.

Each task stands alone: one that fails is recorded and logged, and the others still run. None can fail the update that
triggered them. The record of what they did is `completion.json` in the investigation's folder. That they are due is
written with the change itself, so that a later sweep runs what a killed process could not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from workbench import __version__, faults
from workbench.errors import DataError
from workbench.models.audit_log import AuditEntry
from workbench.models.document import bson_value
from workbench.models.fields import utc_now
from workbench.models.investigations import Investigation
from workbench.repositories import Repositories
from workbench.repositories.investigations import without_bookkeeping
from workbench.repositories.paging import MAX_LIMIT
from workbench.services.audit import AuditTrail
from workbench.services.lint import LintFinding, lint
from workbench.services.workspace import Workspace, json_bytes
from workbench.settings import Settings

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the files' form."""
PACKAGED = ("investigation.json", "audit.jsonl", "lint.json", "manifest.json")


@dataclass(frozen=True)
class TaskResult:
    """What became of one task."""

    name: str
    outcome: Literal["done", "failed", "not needed"]
    detail: str
    seconds: float


@dataclass(frozen=True)
class CompletionRecord:
    """What the completion of one version of an investigation did."""

    tenant: str
    investigation_id: str
    version: int
    finished_at: datetime
    tasks: tuple[TaskResult, ...]
    findings: tuple[LintFinding, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the tasks that failed."""
        return tuple(task.name for task in self.tasks if task.outcome == "failed")

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON types, but for its time."""
        return asdict(self)


class Completion:
    """Runs the tasks of completed investigations under `settings.workspace_dir`."""

    def __init__(self, repositories: Repositories, settings: Settings, audit: AuditTrail) -> None:
        self._repositories = repositories
        self._settings = settings
        self._audit = audit

    async def sweep(self, tenant: str, *, untouched_seconds: float, limit: int = 100) -> int:
        """Run what killed processes left of a tenant: tasks that are due of investigations that nobody changed for
        some time; of how many."""
        before = utc_now() - timedelta(seconds=untouched_seconds)
        due = await self._repositories.investigations.completions_due(tenant, before, limit=limit)
        for investigation_id in due:
            try:
                await self.run(tenant, investigation_id)
            except DataError as error:
                logger.error("Completion of %s stays due: %s", investigation_id, error)
        return len(due)

    async def run(self, tenant: str, investigation_id: str) -> CompletionRecord:
        """Do all tasks for the present state of an investigation; they may run any number of times.

        Raises:
            NotFound: the tenant has no such investigation.
        """
        investigation = await self._repositories.investigations.get(tenant, investigation_id)
        work = _Run(self._repositories, self._audit, self._settings, investigation)
        tasks = [
            await _attempt(investigation_id, name, task)
            for name, task in (
                ("lint", work.lint),
                ("manifest", work.manifest),
                ("package", work.package),
                ("registry", work.register),
            )
        ]
        version = investigation.version
        record = CompletionRecord(tenant, investigation_id, version, utc_now(), tuple(tasks), work.findings)
        stored = await _attempt(investigation_id, "record", lambda: work.keep(record))
        if stored.outcome == "done":  # else it stays due
            await self._repositories.investigations.completion_done(tenant, investigation_id, version)
        logger.info(
            "Completion of %s version %s: %s",
            investigation_id,
            version,
            ", ".join(f"{task.name} {task.outcome}" for task in (*tasks, stored)),
        )
        return record


async def _attempt(investigation_id: str, name: str, task: Callable[[], Awaitable[str | None]]) -> TaskResult:
    """Run one task; its outcome, whatever happens. A task that has nothing to do returns None."""
    started = time.monotonic()
    try:
        detail = await task()
    except Exception as error:
        logger.exception("Completion of %s: %s failed", investigation_id, name)
        return TaskResult(name, "failed", f"{type(error).__name__}: {error}", time.monotonic() - started)
    faults.reach(f"completion.{name}")
    outcome: Literal["done", "not needed"] = "not needed" if detail is None else "done"
    return TaskResult(name, outcome, detail or "", time.monotonic() - started)


class _Run:
    """The tasks for one state of an investigation."""

    def __init__(
        self, repositories: Repositories, audit: AuditTrail, settings: Settings, investigation: Investigation
    ) -> None:
        self._repositories, self._audit, self._settings = repositories, audit, settings
        self._investigation = investigation
        self._tenant, self._id = investigation.tenant_id, investigation.investigation_id
        self._workspace = Workspace(settings.workspace_dir, self._tenant, self._id)
        self._entries: list[AuditEntry] | None = None
        self.findings: tuple[LintFinding, ...] = ()

    async def lint(self) -> str:
        self.findings = lint(self._investigation, await self._history())
        await self._write("lint.json", json_bytes([asdict(finding) for finding in self.findings]))
        return f"{len(self.findings)} findings"

    async def manifest(self) -> str:
        entries = await self._history()
        state = bson_value(without_bookkeeping(self._investigation))
        await self._write("investigation.json", json_bytes(state))
        await self._write("audit.jsonl", b"".join(json_bytes(bson_value(entry), indent=None) for entry in entries))
        files = await asyncio.to_thread(self._workspace.facts, [name for name in PACKAGED if name != "manifest.json"])
        scores = await self._repositories.transaction_scores.count_about(self._tenant, {"investigation_id": self._id})
        anomalies = await self._repositories.anomaly_events.count_about(self._tenant, {"investigation_id": self._id})
        manifest = {
            "tenant": self._tenant,
            "investigation_id": self._id,
            "written_at": utc_now(),
            "versions": {"investigation": self._investigation.version, "workbench": __version__, "format": FORMAT},
            "counts": {
                "audit_entries": len(entries),
                "transaction_scores": asdict(scores),
                "anomaly_events": asdict(anomalies),
            },
            "files": files,
        }
        await self._write("manifest.json", json_bytes(manifest))
        return f"{len(files)} files"

    async def package(self) -> str | None:
        if not is_comparison(self._investigation, self._settings.system_user):
            return None
        size = await asyncio.to_thread(self._workspace.pack, "package.zip", PACKAGED)
        return f"{size} bytes"

    async def register(self) -> str:
        entry = {
            "version": self._investigation.version,
            "status": self._investigation.status,
            "user_id": self._investigation.user_id,
            "updated_at": self._investigation.updated_at,
            "lint_findings": len(self.findings),
        }
        return f"{await asyncio.to_thread(self._workspace.register, entry)} entries"

    async def keep(self, record: CompletionRecord) -> str:
        await self._write("completion.json", json_bytes(record.as_dict()))
        return str(self._workspace.folder)

    async def _history(self) -> list[AuditEntry]:
        if self._entries is None:
            entries: list[AuditEntry] = []
            cursor = None
            while True:
                page = await self._audit.history(self._tenant, self._id, limit=MAX_LIMIT, cursor=cursor)
                entries += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            self._entries = entries
        return self._entries

    async def _write(self, name: str, content: bytes) -> None:
        await asyncio.to_thread(self._workspace.write, name, content)


def is_comparison(investigation: Investigation, system_user: str) -> bool:
    """Whether it compares: it is the system user's, or its settings say what to compare."""
    settings = investigation.settings or {}
    return investigation.user_id == system_user or bool(settings.get("comparison"))
