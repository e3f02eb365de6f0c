"""The explorer's model on a real server: pages, dossier, overviews; nothing of another tenant, nothing written."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.cases import ANOMALIES, CASE, INVESTIGATIONS, MARKUP, OTHER, TENANT, TOKEN, anomaly_id
from tests.documents import START
from workbench import connections
from workbench.errors import InvalidInput, NotFound, TargetUnavailable
from workbench.explorer import anomalies
from workbench.explorer.dossier import Dossier
from workbench.explorer.investigations import PAGE_ROWS, InvestigationFilter, InvestigationPage
from workbench.explorer.model import ExplorerModel
from workbench.explorer.part import Part, part_html
from workbench.migration.executors import this_process
from workbench.migration.pipeline import migrate
from workbench.settings import Settings, TenancyRule


@pytest.fixture(scope="module")
def model(explored: Settings) -> Iterator[ExplorerModel]:
    with ExplorerModel(explored) as model:
        yield model


@pytest.fixture(scope="module")
def dossier(model: ExplorerModel) -> Dossier:
    return model.run(model.dossier(TENANT, CASE))


def pages(model: ExplorerModel, wanted: InvestigationFilter) -> list[InvestigationPage]:
    found = [model.run(model.page(wanted))]
    while found[-1].next_key:
        last = found[-1]
        found.append(
            model.run(model.page(wanted, after=last.next_key, first=last.first + len(last.ids), about=last.about))
        )
    return found


def test_the_pages_hold_every_investigation_once_newest_first(model: ExplorerModel) -> None:
    found = pages(model, InvestigationFilter(TENANT))
    ids = [id_ for page in found for id_ in page.ids]
    assert len(ids) == len(set(ids)) == INVESTIGATIONS + 1
    assert ids[0] == CASE
    assert all(id_ == CASE or id_.startswith(f"{TENANT}-") for id_ in ids)
    moments = [moment for page in found for moment in page.part.frame["updated (UTC)"]]
    assert moments == sorted(moments, reverse=True)
    assert [page.position for page in found] == ["1-50 of about 121", "51-100 of about 121", "101-121 of about 121"]


def test_filters_narrow_and_combine(model: ExplorerModel) -> None:
    wanted = InvestigationFilter(TENANT, status="COMPLETED", risk_from=0.5, risk_to=0.8, text=f"{TENANT}-investigation")
    (page,) = pages(model, wanted)
    numbers = [n for n in range(INVESTIGATIONS) if n % 3 == 2 and 5 <= n % 10 <= 8]
    assert set(page.ids) == {f"{TENANT}-investigation-{n}" for n in numbers}
    (only,) = pages(model, InvestigationFilter(TENANT, user=MARKUP))
    assert only.ids == (CASE,)
    (day,) = pages(model, InvestigationFilter(TENANT, since=(START + timedelta(days=30)).date()))
    assert day.ids == (CASE,)


@pytest.mark.parametrize("text", [".*", "^acme", "acme|globex", "case-.b"])
def test_no_pattern_matches_more_than_itself(model: ExplorerModel, text: str) -> None:
    assert model.run(model.page(InvestigationFilter(TENANT, text=text))).position == "nothing found"
    assert model.run(model.page(InvestigationFilter(TENANT, text="case-<b>"))).ids == (CASE,)


def test_the_riskiest_completed_investigation(model: ExplorerModel) -> None:
    assert model.run(model.riskiest(TENANT)) == CASE
    assert model.run(model.riskiest("nobody")) is None


def part(dossier: Dossier, title: str) -> Part:
    return next(part for part in dossier.parts if part.title.startswith(title))


def test_the_dossier_has_the_facts_findings_and_scores(dossier: Dossier) -> None:
    facts = part(dossier, "Facts").frame.set_index("fact")["value"]
    assert (facts["status"], facts["risk score"], facts["version"]) == ("COMPLETED", "0.97", "5")
    assert part(dossier, "Risk by domain").frame["domain"].tolist() == ["device", "network"]
    bins = part(dossier, "Transaction scores").frame
    assert bins["transactions"].sum() == 30
    assert bins["transactions"].iloc[-1] == 2  # 1.0 counts into the last bin
    top = part(dossier, "Riskiest transactions").frame["risk"].tolist()
    assert len(top) == 20
    assert top == sorted(top, reverse=True)


def test_the_history_is_read_in_the_log_and_in_the_outbox(dossier: Dossier) -> None:
    assert part(dossier, "Audit history").frame["to"].tolist() == [5, 4, 3, 2, 1]
    assert dossier.versions == (0, 1, 2, 3, 4, 5)
    assert dossier.missing_versions == ()
    changes = dossier.difference(1, 5).frame.set_index("field")
    assert changes.loc["status", "after"] == "COMPLETED"
    assert changes.loc["settings.tools", "before"] == '["t1"]'


def test_what_was_done_stands_in_the_dossier(dossier: Dossier) -> None:
    playbooks = part(dossier, "Playbook executions").frame
    assert set(playbooks["execution"]) == {"execution-0", "execution-1"}
    assert playbooks["start"].notna().all()
    assert len(part(dossier, "Tool actions").frame) == 4
    assert len(part(dossier, "Anomalies").frame) == 5


def test_similar_ones_are_of_other_investigations_and_say_why(model: ExplorerModel, dossier: Dossier) -> None:
    anomalies, investigations = model.run(model.similar(TENANT, dossier))
    assert CASE not in set(anomalies.frame["investigation"])
    assert {f"{TENANT}-investigation-{n}" for n in range(5, 10)} <= set(investigations.frame["investigation"])
    assert "metric metric_0" in investigations.frame["why"][0]
    assert set(investigations.frame["created (UTC)"]) == {START}
    assert investigations.frame["status"].notna().all()
    assert "Found by" in anomalies.note


def test_every_part_renders_escaped_with_its_query_and_alternative_text(model: ExplorerModel, dossier: Dossier) -> None:
    overview = model.run(model.anomalies(TENANT))
    operations = model.run(model.operations(TENANT, now=START, days=14))
    parts = [
        *dossier.parts,
        *model.run(model.similar(TENANT, dossier)),
        dossier.difference(1, 5),
        *overview.parts,
        *model.run(model.anomaly_map(TENANT)),
        *operations.parts,
        model.run(model.page(InvestigationFilter(TENANT))).part,
    ]
    html = "".join(part_html(part) for part in parts)
    assert MARKUP not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img") == html.count("<img alt=") > 8
    assert '<img alt=""' not in html
    assert html.count("query (copy)") == len(parts)
    assert TOKEN not in html
    assert all(TENANT in part.mongosh for part in parts)


def test_the_overview_of_anomalies_counts_them(model: ExplorerModel) -> None:
    overview = model.run(model.anomalies(TENANT))
    assert overview.by_severity.frame.set_index("severity")["anomalies"].to_dict() == {
        "critical": 14,
        "warn": 13,
        "info": 13,
    }
    assert overview.by_metric.frame["all"].tolist()[:3] == [10, 10, 1]
    assert overview.in_time.frame[["critical", "warn", "info"]].to_numpy().sum() == ANOMALIES
    detectors = overview.detectors.frame
    assert detectors[["runs", "failed", "anomalies"]].sum().to_list() == [8, 1, ANOMALIES]
    assert overview.pick == str(anomaly_id(TENANT, 39))


def test_incidents_are_groups_on_the_map(model: ExplorerModel) -> None:
    points, groups = model.run(model.anomaly_map(TENANT))
    assert len(points.frame) == ANOMALIES
    assert sorted(groups.frame["anomalies"].tolist()[:2]) == [10, 10]
    assert groups.frame["in common"][0].startswith("metric_")


def test_a_map_that_holds_not_all_describes_those_that_it_holds(
    model: ExplorerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anomalies, "MAP_POINTS", 35)
    points, groups = model.run(model.anomaly_map(TENANT))
    assert len(points.frame) == 35
    assert points.note.startswith("The map is full")
    assert (groups.frame["anomalies"] >= 3).all()
    assert groups.questions[0].limit == 35


def test_operations_count_failures_durations_and_what_expires(model: ExplorerModel) -> None:
    found = model.run(model.operations(TENANT, now=START, days=14))
    assert found.actions.frame[["failed", "retrying", "success"]].to_numpy().tolist() == [[2, 2, 2]]
    assert found.failures.frame["retries"].tolist() == [4, 1]
    playbooks = found.playbooks.frame.set_index("playbook")
    assert playbooks.loc["contain", ["executions", "failed", "median minutes"]].tolist() == [3, 1, 2.0]
    assert found.connections.frame["connection"].tolist() == ["connection-0", "connection-1"]
    assert found.overdue == 1


def test_the_constant_tenant_stands_for_all_tenants_of_tools(explored: Settings) -> None:
    constant = explored.model_copy(update={"tenancy_rule": "constant"})
    with ExplorerModel(Settings(**{**vars(constant), "_env_file": None})) as model:
        assert model.run(model.integration_tenants(TENANT)) == [TENANT, OTHER]
        assert model.run(model.integration_tenants("another")) == ["another"]


def test_by_the_rule_user_anomalies_and_playbooks_of_an_investigation_are_found(explored: Settings) -> None:
    by_user = explored.model_copy(update={"tenancy_rule": TenancyRule.USER, "default_tenant": "platform"})
    with ExplorerModel(by_user) as model:
        found = model.run(model.dossier(TENANT, CASE))
        assert part(found, "Anomalies").questions[0].tenants == (TENANT, "platform")
        assert part(found, "Playbook executions").questions[0].tenants == (TENANT, OTHER)
        assert model.run(model.integration_tenants(TENANT)) == [TENANT]  # of the whole platform it sees its own


def test_another_tenants_investigation_is_not_found(model: ExplorerModel) -> None:
    with pytest.raises(NotFound):
        model.run(model.dossier(OTHER, CASE))
    assert model.run(model.find_dossier(OTHER, CASE)) is None
    with pytest.raises(NotFound):
        model.run(model.neighbours(OTHER, str(anomaly_id(TENANT, 0))))
    with pytest.raises(InvalidInput):
        model.run(model.neighbours(TENANT, "no uuid"))


@pytest.mark.parametrize("number", [0, -1, 1_000, True])
def test_numbers_out_of_range_are_named(model: ExplorerModel, number: int) -> None:
    with pytest.raises(InvalidInput, match="neighbours: must be a whole number from 1 to 100"):
        model.run(model.neighbours(TENANT, str(anomaly_id(TENANT, 0)), limit=number))
    with pytest.raises(InvalidInput, match="days: must be a whole number from 1 to 365"):
        model.run(model.operations(TENANT, now=START, days=number))


def test_tenants_are_known(model: ExplorerModel) -> None:
    assert model.run(model.tenants()) == [TENANT, OTHER]


# The driver's monitors leak the socket that they were opening when the client is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_is_gone_is_one_clear_error(explored: Settings) -> None:
    nowhere = Settings(
        _env_file=None, mongodb_uri="mongodb://user:secret@127.0.0.1:9/", server_selection_timeout_seconds=0.5
    )
    with ExplorerModel(nowhere) as model, pytest.raises(TargetUnavailable) as caught:
        model.run(model.page(InvestigationFilter(TENANT)))
    assert "secret" not in str(caught.value)
    gc.collect()


def test_nothing_is_written(model: ExplorerModel, explored: Settings, dossier: Dossier) -> None:
    def content() -> dict[str, list[Any]]:
        with connections.open_target(explored) as client:
            database = client[explored.mongodb_database]
            names = sorted(database.list_collection_names())
            return {name: sorted(database[name].find(), key=lambda row: str(row["_id"])) for name in names}

    before = content()
    model.run(model.page(InvestigationFilter(TENANT)))
    model.run(model.dossier(TENANT, CASE))
    model.run(model.similar(TENANT, dossier))
    assert content() == before


@pytest.fixture(scope="module")
def migrated(settings: Settings) -> Settings:
    """The sample's investigations at scale 1 in the target."""
    assert migrate(settings, tables=["investigation_states"], executor=this_process).complete
    return settings


def test_pages_take_less_than_a_second_at_scale_1(migrated: Settings) -> None:
    with ExplorerModel(migrated) as model:
        wanted = InvestigationFilter(migrated.default_tenant)
        model.run(model.page(wanted))  # the first question connects
        page, slowest = None, 0.0
        for filter_ in (wanted, InvestigationFilter(migrated.default_tenant, status="COMPLETED", risk_from=0.3)):
            page = None
            for _ in range(4):
                started = time.monotonic()
                page = model.run(
                    model.page(filter_, after=page.next_key, first=51, about=page.about)
                    if page
                    else model.page(filter_)
                )
                slowest = max(slowest, time.monotonic() - started)
                assert len(page.ids) == PAGE_ROWS
        assert slowest < 1
