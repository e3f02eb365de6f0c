"""Completion: what it writes, that a failing task harms nothing, and what lint finds."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.documents import transaction_score
from tests.target import prepared_target
from workbench import connections
from workbench.errors import InvalidInput
from workbench.repositories import Repositories
from workbench.services import CreateInvestigation, InvestigationStateService, UpdateInvestigation, User
from workbench.services.workspace import folder_name
from workbench.settings import Settings

TENANT = "acme"
OWNER = User(user_id="owner")
DONE = UpdateInvestigation(
    status="COMPLETED",
    lifecycle_stage="COMPLETED",
    settings={"name": "case"},
    progress={"progress_percentage": 100.0},
    results={"risk_score": 0.5},
)


@pytest.fixture(scope="module")
def settings(servers: Settings) -> Iterator[Settings]:
    with prepared_target(servers) as settings:
        yield settings


@pytest.fixture(scope="module")
async def repositories(settings: Settings) -> AsyncIterator[Repositories]:
    client = connections.open_target_async(settings)
    yield Repositories(client[settings.mongodb_database], settings)
    await client.close()


def _service(repositories: Repositories, settings: Settings, workspace: Path) -> InvestigationStateService:
    return InvestigationStateService(repositories, settings.model_copy(update={"workspace_dir": workspace}))


async def test_the_change_to_completed_leaves_files_registry_and_record(
    repositories: Repositories, settings: Settings, tmp_path: Path
) -> None:
    service = _service(repositories, settings, tmp_path)
    comparison = CreateInvestigation(investigation_id="../../etc/case ü", settings={"comparison": {"a": 1}})
    case = (await service.create(TENANT, comparison, user=OWNER)).investigation_id
    await repositories.transaction_scores.write(
        TENANT, [transaction_score(TENANT, number, investigation_id=case) for number in range(3)]
    )
    done = DONE.model_copy(update={"settings": {"comparison": {"a": 1}}})
    await service.update(TENANT, case, done, user=OWNER, expected_version=1)
    await service.background.drain()

    folder = tmp_path / folder_name(TENANT) / folder_name(case)
    assert {path.name for path in folder.iterdir()} == {
        "audit.jsonl", "completion.json", "investigation.json", "lint.json", "manifest.json", "package.zip",
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["versions"]["investigation"] == 2
    assert manifest["counts"]["audit_entries"] == 2
    assert manifest["counts"]["transaction_scores"] == {"at_least": 3, "exact": True}
    for file in manifest["files"]:
        content = (folder / file["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    with zipfile.ZipFile(folder / "package.zip") as package:
        assert package.testzip() is None
        assert sorted(package.namelist()) == ["audit.jsonl", "investigation.json", "lint.json", "manifest.json"]
    record = json.loads((folder / "completion.json").read_text())
    assert {task["name"]: task["outcome"] for task in record["tasks"]} == dict.fromkeys(
        ("lint", "manifest", "package", "registry"), "done"
    )
    registry = json.loads((tmp_path / folder_name(TENANT) / "registry.json").read_text())
    assert registry[case]["folder"] == folder.name
    assert registry[case]["lint_findings"] == 0


async def test_completion_runs_once_for_the_change_and_again_on_demand(
    repositories: Repositories, settings: Settings, tmp_path: Path
) -> None:
    service = _service(repositories, settings, tmp_path)
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    with pytest.raises(InvalidInput, match="COMPLETED"):
        await service.complete(TENANT, case, user=OWNER)
    await service.update(TENANT, case, DONE, user=OWNER, expected_version=1)
    await service.background.drain()
    record = tmp_path / folder_name(TENANT) / folder_name(case) / "completion.json"
    first = record.read_text()
    await service.update(TENANT, case, UpdateInvestigation(tags=("after",)), user=OWNER, expected_version=2)
    await service.background.drain()
    assert record.read_text() == first
    again = await service.complete(TENANT, case, user=OWNER)
    assert again.version == 3
    assert {task.name: task.outcome for task in again.tasks}["package"] == "not needed"
    assert again.failed == ()


async def test_a_failing_task_is_recorded_and_logged_and_fails_nothing(
    repositories: Repositories, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "workspace"
    blocked.write_text("a file where the folder should be")
    service = _service(repositories, settings, blocked)
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    with caplog.at_level(logging.INFO, logger="workbench.services"):
        changed = await service.update(TENANT, case, DONE, user=OWNER, expected_version=1)
        await service.background.drain()
    assert changed.status == "COMPLETED"
    assert (await service.get(TENANT, case, user=OWNER)).status == "COMPLETED"
    failures = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any(case in message and "manifest failed" in message for message in failures)
    record = await service.complete(TENANT, case, user=OWNER)
    assert record.failed == ("lint", "manifest", "registry")


async def test_lint_finds_missing_fields_and_gaps_in_the_audit(
    repositories: Repositories, settings: Settings, tmp_path: Path
) -> None:
    service = _service(repositories, settings, tmp_path)
    case = (await service.create(TENANT, CreateInvestigation(), user=OWNER)).investigation_id
    done = UpdateInvestigation(status="COMPLETED", progress={"progress_percentage": 40.0})
    await service.update(TENANT, case, done, user=OWNER, expected_version=1)
    await repositories.investigations._collection.update_one(
        {"tenant_id": TENANT, "investigation_id": case}, {"$set": {"version": 4}}
    )
    record = await service.complete(TENANT, case, user=OWNER)
    assert {(finding.rule, finding.field) for finding in record.findings} == {
        ("required", "settings"),
        ("required", "results"),
        ("required", "results.risk_score"),
        ("progress", "progress.progress_percentage"),
        ("audit", "version"),
    }
    assert "2 versions have no audit entry: 3, 4" in [finding.message for finding in record.findings]
    await service.background.drain()
