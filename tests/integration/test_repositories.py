"""What the repositories answer, in numbers: statistics, distributions, writes, tokens, versions, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from statistics import fmean

import pytest
from pydantic import SecretStr
from pymongo import monitoring

from tests import documents
from tests.documents import START, uuid_of
from tests.target import prepared_target
from workbench import connections
from workbench.errors import AlreadyExists, DataError, InvalidInput, NotFound, VersionConflict
from workbench.models.soar_playbook_executions import PlaybookAction
from workbench.repositories import About, Repositories, base
from workbench.settings import Settings

T = "acme"
N = 24


@pytest.fixture(scope="module")
def settings(servers: Settings) -> Iterator[Settings]:
    with prepared_target(servers) as settings:
        yield settings


@pytest.fixture(scope="module")
async def repositories(settings: Settings) -> AsyncIterator[Repositories]:
    client = connections.open_target_async(settings)
    database = client[settings.mongodb_database]
    for name, build in documents.BUILDERS.items():
        await database[name].insert_many([build(T, number).to_bson() for number in range(N)])
    yield Repositories(database, settings)
    await client.close()


async def test_documents_come_back_as_they_were_stored(repositories: Repositories) -> None:
    for name, build in documents.BUILDERS.items():
        for number in (0, 7):
            document = build(T, number)
            key = [getattr(document, path) for path in document.COLLECTION.natural_key]
            assert await getattr(repositories, name).get(T, *key) == document


async def test_run_statistics_of_detector_and_day(repositories: Repositories) -> None:
    runs = [documents.detection_run(T, number) for number in range(N)]
    mine = [run for run in runs if run.metadata.detector_id == uuid_of(T, "detector", 1)]
    seconds = [(run.finished_at - run.started_at).total_seconds() for run in mine if run.finished_at]
    (found,) = await repositories.detection_runs.statistics(
        T, START, START + timedelta(days=1), detector_id=uuid_of(T, "detector", 1)
    )
    assert (found.runs, found.failures) == (len(mine), sum(run.status == "failed" for run in mine))
    assert found.mean_seconds == pytest.approx(fmean(seconds))
    assert found.p95_seconds == max(seconds)
    assert (found.day.hour, found.day.tzinfo is not None) == (0, True)
    everything = await repositories.detection_runs.statistics(T, START, START + timedelta(days=1))
    assert sum(day.runs for day in everything) == N
    assert await repositories.detection_runs.statistics(T, START - timedelta(days=1), START) == ()


async def test_anomaly_statistics_and_vectors(repositories: Repositories) -> None:
    events = [documents.anomaly_event(T, number) for number in range(N)]
    found = await repositories.anomaly_events.statistics(T)
    assert sum(group.anomalies for group in found) == N
    group = next(group for group in found if (group.severity, group.status) == ("warn", "triaged"))
    scores = [event.score for event in events if (event.severity, event.status) == ("warn", "triaged")]
    assert (group.anomalies, group.mean_score, group.max_score) == (len(scores), fmean(scores), max(scores))
    vectors = dict([pair async for pair in repositories.anomaly_events.vectors(T, severity="warn")])
    assert vectors == {event.anomaly_id: event.embedding for event in events if event.severity == "warn"}
    assert await repositories.anomaly_events.embedding_of(T, events[0].anomaly_id) == events[0].embedding
    listed = (await repositories.anomaly_events.by_severity(T, "warn")).items
    assert all(event.embedding is None for event in listed)


async def test_distribution_top_and_averages_of_scores(repositories: Repositories) -> None:
    case = f"{T}-investigation-1"
    risks = [s.risk_score for s in (documents.transaction_score(T, n) for n in range(N)) if s.investigation_id == case]
    bins = await repositories.transaction_scores.distribution(T, case, bins=5)
    for part in bins:
        inside = [risk for risk in risks if part.low <= risk < part.high or (part.high == risk == 1)]
        assert part.transactions == len(inside)
    top = await repositories.transaction_scores.riskiest(T, case, limit=3)
    assert [score.risk_score for score in top.items] == sorted(risks, reverse=True)[:3]
    (average,) = await repositories.transaction_scores.averages(T, [case, "no-such"])
    assert (average.transactions, average.max_risk_score) == (len(risks), max(risks))
    assert average.mean_risk_score == pytest.approx(fmean(risks))


async def test_bulk_write_counts_and_never_overwrites_another_tenant(repositories: Repositories) -> None:
    scores = [documents.transaction_score("bulk", number) for number in range(10)]
    first = await repositories.transaction_scores.write("bulk", scores)
    again = await repositories.transaction_scores.write("bulk", scores)
    changed = [score.model_copy(update={"risk_score": 0.123}) for score in scores[:4]]
    third = await repositories.transaction_scores.write("bulk", changed)
    assert (first.inserted, first.changed, first.unchanged) == (10, 0, 0)
    assert (again.inserted, again.changed, again.unchanged) == (0, 0, 10)
    assert (third.inserted, third.changed, third.unchanged) == (0, 4, 0)
    thief = [score.model_copy(update={"tenant_id": "thief", "risk_score": 1.0}) for score in scores]
    with pytest.raises(AlreadyExists):
        await repositories.transaction_scores.write("thief", thief)
    kept = await repositories.transaction_scores.get("bulk", *scores[0].key())
    assert (kept.tenant_id, kept.risk_score) == ("bulk", 0.123)
    with pytest.raises(InvalidInput):
        await repositories.transaction_scores.write("bulk", thief)


async def test_templates_by_tags_and_use(repositories: Repositories) -> None:
    both = await repositories.templates.by_tags(T, ["cards", "web"], match="all")
    either = await repositories.templates.by_tags(T, ["web", "app"])
    assert (len(both.items), len(either.items)) == (N // 2, N)
    before = await repositories.templates.get(T, f"{T}-template-3")
    used = await repositories.templates.record_use(T, f"{T}-template-3")
    assert (used.usage_count, before.usage_count) == (before.usage_count + 1, 3)
    assert used.last_used is not None
    most = await repositories.templates.most_used(T, limit=5)
    counts = [template.usage_count for template in most.items]
    assert counts == sorted(counts, reverse=True)


async def test_tokens_are_stored_and_never_shown(repositories: Repositories) -> None:
    connections_ = repositories.composio_connections
    stored = await connections_.store_tokens(
        T,
        f"{T}-connection-3",
        encrypted_access_token=SecretStr("planted-new-access"),
        refresh_token=None,
        expires_at=START,
    )
    assert stored.status == "active"
    assert stored.encrypted_access_token.get_secret_value() == "planted-new-access"
    shown = repr(stored) + str(await connections_.page(T)) + stored.model_dump_json()
    assert "planted" not in shown
    with pytest.raises(AlreadyExists) as taken:
        await connections_.insert(T, documents.composio_connection(T, 1))
    with pytest.raises(InvalidInput) as refused:
        await connections_.store_tokens(
            T,
            f"{T}-connection-3",
            encrypted_access_token="planted-plain",
            refresh_token=None,
            expires_at=None,  # type: ignore[arg-type]
        )
    assert "planted" not in str(taken.value) + str(refused.value)
    assert (await connections_.mark_revoked(T, f"{T}-connection-3")).status == "revoked"
    assert (await connections_.mark_expired(T, f"{T}-connection-3")).status == "revoked"
    with pytest.raises(InvalidInput, match="revoked"):
        await connections_.store_tokens(
            T,
            f"{T}-connection-3",
            encrypted_access_token=SecretStr("x"),
            refresh_token=None,
            expires_at=None,
        )
    soon = await connections_.expiring_before(T, START + timedelta(minutes=1005))
    assert [c.connection_id for c in soon.items] == [f"{T}-connection-{n}" for n in (0, 1, 2, 4)]


async def test_retries_and_statistics_of_actions(repositories: Repositories) -> None:
    audits = repositories.composio_action_audits
    found = await audits.failed_with_retries(T, 4)
    assert [audit.retry_count for audit in found.items] == [4] * 4
    before = await audits.get(T, f"{T}-audit-0")
    after = await audits.record_retry(T, f"{T}-audit-0", "success", result={"ok": True})
    assert (after.retry_count, after.status, after.result) == (before.retry_count + 1, "success", {"ok": True})
    assert sum(group.executions for group in await audits.statistics(T)) == N


async def test_actions_and_duration_of_playbooks(repositories: Repositories) -> None:
    executions = repositories.soar_playbook_executions
    action = PlaybookAction(action_id="$set", result={"value": "$started_at"})
    first = await executions.add_action(T, f"{T}-execution-0", action)
    second = await executions.add_action(T, f"{T}-execution-0", PlaybookAction(action_id="b"))
    assert first.actions_executed == [action]
    assert second.actions_executed == [action, PlaybookAction(action_id="b")]
    done = await executions.set_status(
        T, f"{T}-execution-0", "failed", completed_at=START + timedelta(seconds=3), error_message="$status"
    )
    assert (done.status, done.duration_ms, done.error_message) == ("failed", 3000.0, "$status")
    (playbook,) = [p for p in await executions.statistics(T) if p.playbook_id == "playbook-1"]
    assert (playbook.executions, playbook.completed, playbook.mean_duration_ms) == (N // 3, N // 3, 2000.0)


async def test_an_execution_does_not_end_before_it_starts(repositories: Repositories) -> None:
    executions = repositories.soar_playbook_executions
    with pytest.raises(InvalidInput, match="before started_at, 2026-03-01T12:03"):
        await executions.set_status(T, f"{T}-execution-3", "failed", completed_at=START)
    assert (await executions.get(T, f"{T}-execution-3")).status == "running"
    with pytest.raises(NotFound):
        await executions.set_status(T, "never", "failed", completed_at=START)


async def test_any_number_of_documents_with_one_time_can_be_paged_through(
    repositories: Repositories, settings: Settings
) -> None:
    number_of = 2_600
    moment = START + timedelta(days=400)
    entries = [documents.audit_entry("busy", number, timestamp=moment) for number in range(number_of)]
    entries += [documents.audit_entry("busy", 9_000 + number) for number in range(3)]
    with connections.open_target(settings, bulk=True) as client:
        client[settings.mongodb_database].audit_log.insert_many([entry.to_bson() for entry in entries])
    found: list[str] = []
    cursor = None
    while True:
        page = await repositories.audit_log.page("busy", limit=500, cursor=cursor)
        found += [entry.entry_id for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(cursor) < 200
    assert sorted(found) == sorted(entry.entry_id for entry in entries)
    assert set(found[-3:]) == {entry.entry_id for entry in entries[-3:]}


async def test_gone_and_changed_are_told_apart(repositories: Repositories) -> None:
    investigation = documents.investigation(T, 5)
    metadata = {**documents.audit_entry(T, 0).metadata.model_dump(), "investigation_id": investigation.investigation_id}
    entry = documents.audit_entry(T, 700, metadata=metadata)
    await repositories.investigations.update(T, investigation, entry, expected_version=1)
    with pytest.raises(VersionConflict) as conflict:
        await repositories.investigations.update(T, investigation, entry, expected_version=1)
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    deleted = documents.audit_entry(T, 701, metadata={**metadata, "action_type": "DELETED"})
    await repositories.investigations.mark_deleted(T, investigation.investigation_id, deleted, expected_version=2)
    with pytest.raises(NotFound):
        await repositories.investigations.update(T, investigation, entry, expected_version=2)


async def test_counts_say_whether_they_are_exact(repositories: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = await repositories.templates.count_about(T, {"user_id": f"{T}-user-1"})
    assert (exact, str(exact)) == (About(N // 3, exact=True), f"{N // 3}")
    monkeypatch.setattr(base, "COUNT_LIMIT", 5)
    limited = await repositories.templates.count_about(T)
    assert (limited, str(limited)) == (About(5, exact=False), "at least 5")


async def test_a_stored_document_that_breaks_its_model_is_named_not_shown(
    repositories: Repositories, settings: Settings
) -> None:
    key = {"tenant_id": T, "connection_id": f"{T}-connection-5"}
    with connections.open_target(settings) as client:
        client[settings.mongodb_database].command(
            "update",
            "composio_connections",
            updates=[{"q": key, "u": {"$set": {"status": "planted-secret"}}}],
            bypassDocumentValidation=True,
        )
    with pytest.raises(DataError, match="at status") as broken:
        await repositories.composio_connections.get(T, f"{T}-connection-5")
    assert "planted" not in str(broken.value)
    assert broken.value.__cause__ is None


async def test_deletion_of_a_time_range_keeps_its_bounds_and_tenant(repositories: Repositories) -> None:
    log = repositories.audit_log
    for number in range(6):
        await log.insert("ranges", documents.audit_entry("ranges", number))
    assert await log.delete_range("ranges", START + timedelta(minutes=1), START + timedelta(minutes=3)) == 2
    left = await log.page("ranges")
    assert len(left.items) == 4
    assert await log.count_about(T) == await log.count_about(T, None)
    assert (await log.count_about(T)).at_least == N


async def test_every_command_carries_the_time_limit(settings: Settings) -> None:
    limits: list[int] = []

    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name == "find":
                limits.append(event.command.get("maxTimeMS", 0))

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

        def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    short = settings.model_copy(update={"operation_timeout_seconds": 2.0})
    client = connections.open_target_async(settings, event_listeners=[Listener()])
    await Repositories(client[settings.mongodb_database], short).investigations.page(T)
    await client.close()
    assert limits
    assert all(0 < limit <= 2000 for limit in limits)
