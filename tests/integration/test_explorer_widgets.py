"""The explorer's widgets without a browser: set values, click, read what is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.cases import CASE, MARKUP, OTHER, TENANT, anomaly_id
from workbench.explorer.controller import ExplorerController
from workbench.explorer.investigations import InvestigationFilter
from workbench.explorer.model import ExplorerModel
from workbench.explorer.picker import NeighbourPicker
from workbench.explorer.view import SECTIONS, ExplorerView
from workbench.settings import Settings


@pytest.fixture(scope="module")
def model(explored: Settings) -> Iterator[ExplorerModel]:
    with ExplorerModel(explored) as model:
        yield model


class CountedModel(ExplorerModel):
    """Counts the pages that are asked for, and can hold them back."""

    asked = 0
    cancelled = 0
    seconds = 0.0

    async def page(self, *arguments: Any, **options: Any) -> Any:
        self.asked += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().page(*arguments, **options)


@pytest.fixture
def counted(explored: Settings) -> Iterator[CountedModel]:
    with CountedModel(explored) as model:
        yield model


def explorer(model: ExplorerModel, **options: Any) -> ExplorerController:
    found = ExplorerController(model, ExplorerView(), InvestigationFilter(TENANT), debounce_seconds=0.05, **options)
    found.settle()
    return found


def test_the_first_page_is_there_at_once(model: ExplorerModel) -> None:
    view = explorer(model).view
    assert "1-50 of about 121" in view.position.value
    assert MARKUP not in view.table.value
    assert "case-&lt;b&gt;one" in view.table.value
    assert len(view.chooser.options) == 50
    assert (view.previous.disabled, view.next.disabled, view.cancel.disabled) == (True, False, True)


def test_pages_go_forth_and_back(model: ExplorerModel) -> None:
    found = explorer(model)
    view = found.view
    first = view.chooser.options
    for position in ("51-100 of about 121", "101-121 of about 121"):
        view.next.click()
        found.settle()
        assert position in view.position.value
    assert view.next.disabled
    for position in ("51-100 of about 121", "1-50 of about 121"):
        view.previous.click()
        found.settle()
        assert position in view.position.value
    assert view.chooser.options == first


def test_a_filter_starts_at_the_first_page_and_can_be_cleared(model: ExplorerModel) -> None:
    found = explorer(model)
    view = found.view
    view.next.click()
    found.settle()
    view.status.value = "ERROR"
    found.settle()
    assert "nothing found" in view.position.value
    assert view.open.disabled
    view.clear.click()
    found.settle()
    assert "1-50 of about 121" in view.position.value


def test_typing_asks_once_when_it_pauses(counted: CountedModel) -> None:
    found = explorer(counted)
    before = counted.asked
    for end in range(1, 9):
        found.view.text.value = "case-<b>"[:end]
    found.settle()
    assert counted.asked == before + 1
    assert "1-1 of about 1" in found.view.position.value


def test_a_stale_question_is_cancelled_and_its_answer_not_shown(counted: CountedModel) -> None:
    found = explorer(counted)
    counted.seconds = 30.0
    found.view.status.value = "COMPLETED"
    time.sleep(0.3)
    counted.seconds = 0.0
    found.view.status.value = "ERROR"
    found.settle()
    assert counted.cancelled == 1
    assert "nothing found" in found.view.position.value


def test_cancel_answers_within_half_a_second(counted: CountedModel) -> None:
    found = explorer(counted)
    counted.seconds = 30.0
    found.view.next.click()
    assert found.view.next.disabled
    assert not found.view.cancel.disabled
    started = time.monotonic()
    found.view.cancel.click()
    found.settle(0.5)
    assert time.monotonic() - started < 0.5
    assert "Cancelled" in found.view.message.value
    assert "1-50 of about 121" in found.view.position.value
    assert not found.view.open.disabled
    counted.seconds = 0.0
    found.view.next.click()
    found.settle()
    assert "51-100 of about 121" in found.view.position.value


def test_a_click_on_the_detail_does_not_stop_the_search_that_was_typed(counted: CountedModel) -> None:
    found = explorer(counted, investigation_id=CASE)
    found.view.text.value = "case-"
    found.view.section.value = "Similar"
    found.settle()
    assert "1-1 of about 1" in found.view.position.value
    assert f"{TENANT}-investigation-7" in found.view.detail.value


def test_a_page_never_goes_on_with_another_filter(counted: CountedModel) -> None:
    found = explorer(counted)
    counted.seconds = 30.0
    found.view.status.value = "COMPLETED"
    found.cancel()
    counted.seconds = 0.0
    found.view.next.click()
    found.settle()
    assert "1-41 of about 41" in found.view.position.value
    assert found.view.next.disabled


def test_clearing_no_filter_reads_the_list_again(counted: CountedModel) -> None:
    found = explorer(counted)
    before = counted.asked
    found.view.clear.click()
    found.settle()
    assert counted.asked == before + 1


def test_setting_a_filter_never_blocks(counted: CountedModel) -> None:
    found = explorer(counted)
    counted.seconds = 30.0
    started = time.monotonic()
    for letter in "abcdefgh":
        found.view.text.value += letter
    assert time.monotonic() - started < 0.5
    found.cancel()


def test_errors_are_shown_in_the_view(model: ExplorerModel) -> None:
    found = explorer(model)
    found.view.user.value = "<b>" * 100
    found.settle()
    assert 'role="alert"' in found.view.message.value
    assert "user_id" in found.view.message.value
    assert "<b>" not in found.view.message.value
    found.view.user.value = ""
    found.settle()
    assert found.view.message.value == ""


def test_an_unexpected_error_is_named_and_logged(model: ExplorerModel, caplog: pytest.LogCaptureFixture) -> None:
    found = explorer(model)

    async def fail() -> None:
        raise ZeroDivisionError("with secrets")

    found._ask(found._detail, "Testing", fail(), lambda _: None)
    found.settle()
    assert "Unexpected ZeroDivisionError" in found.view.message.value
    assert "secrets" not in found.view.message.value
    assert "ZeroDivisionError" in caplog.text
    assert not found.view.open.disabled


def test_a_part_that_fails_says_so_in_its_place(model: ExplorerModel) -> None:
    found = explorer(model, investigation_id=CASE)
    assert found._dossier is not None

    def fail(_: object) -> None:
        raise ZeroDivisionError("with secrets")

    parts = list(found._dossier.parts)
    place = next(i for i, part in enumerate(parts) if part.title == "Transaction scores")
    parts[place] = replace(parts[place], draw=fail)
    found._dossier = replace(found._dossier, parts=tuple(parts))
    found.view.section.value = "Transactions"
    shown = found.view.detail.value
    assert "unexpected ZeroDivisionError" in shown
    assert "secrets" not in shown
    assert "Riskiest transactions" in shown


def test_every_section_of_a_detail(model: ExplorerModel) -> None:
    found = explorer(model)
    view = found.view
    assert view.chooser.value == CASE
    view.open.click()
    found.settle()
    assert "case-&lt;b&gt;one" in view.heading.value
    shown = {}
    for section in SECTIONS:
        view.section.value = section
        found.settle()
        shown[section] = view.detail.value
        assert (view.versions.layout.display is None) == (section == "History")
    assert len(set(shown.values())) == len(SECTIONS)
    assert all(MARKUP not in html for html in shown.values())
    assert "shared by 14 accounts" in shown["Findings"]
    assert str(anomaly_id(TENANT, 4)) in shown["Anomalies"]
    assert "execution-1" in shown["Response"]
    assert f"{TENANT}-investigation-7" in shown["Similar"]


def test_any_two_versions_can_be_compared(model: ExplorerModel) -> None:
    found = explorer(model, investigation_id=CASE)
    view = found.view
    view.section.value = "History"
    assert "Changes from version 0 to 5" in view.detail.value
    view.before.value, view.after.value = "4", "2"
    assert "Changes from version 4 to 2" in view.detail.value
    assert "IN_PROGRESS" in view.detail.value.replace("<wbr>", "")


def test_a_deep_link_opens_the_detail_and_lists_the_rest(model: ExplorerModel) -> None:
    found = explorer(model, investigation_id=CASE)
    assert "case-&lt;b&gt;one" in found.view.heading.value
    assert "1-50 of about 121" in found.view.position.value


def test_a_deep_link_to_nothing_says_so(model: ExplorerModel) -> None:
    found = explorer(model, investigation_id="no-such-case")
    assert "no-such-case" in found.view.message.value
    assert 'role="alert"' in found.view.message.value
    assert "1-50 of about 121" in found.view.position.value


def test_the_tenant_can_be_changed(model: ExplorerModel) -> None:
    found = explorer(model)
    deadline = time.monotonic() + 10
    while OTHER not in found.view.tenant.options and time.monotonic() < deadline:
        time.sleep(0.02)
    found.view.tenant.value = OTHER
    found.settle()
    assert "1-50 of about 120" in found.view.position.value
    assert TENANT not in found.view.table.value.split("<details>")[0]


def test_an_open_detail_stays_with_its_tenant(model: ExplorerModel) -> None:
    found = explorer(model, investigation_id=CASE)
    found.view.tenant.value = OTHER
    found.settle()
    found.view.section.value = "Similar"
    found.settle()
    assert found.view.message.value == ""
    assert f"{TENANT}-investigation-7" in found.view.detail.value


def test_what_is_picked_is_opened_for_the_tenant_of_the_list(counted: CountedModel) -> None:
    found = explorer(counted)
    counted.seconds = 30.0
    found.view.tenant.value = OTHER
    found.cancel()
    found.view.open.click()
    found.settle()
    assert "case-&lt;b&gt;one" in found.view.heading.value


def test_every_control_has_a_label(model: ExplorerModel) -> None:
    view = explorer(model).view
    controls = [*view.filters, view.clear, view.cancel, view.previous, view.next, view.open, view.chooser, view.section]
    assert all(control.description for control in controls)


def neighbours(model: ExplorerModel, anomaly: str) -> NeighbourPicker:
    return NeighbourPicker(model, TENANT, model.run(model.anomalies(TENANT)).newest.frame, anomaly_id=anomaly)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_picked_anomaly_shows_its_neighbours_with_reason_data_and_query(model: ExplorerModel) -> None:
    picker = neighbours(model, "")
    assert len(picker.chooser.options) == 14
    label, picked = next((label, id_) for label, id_ in picker.chooser.options if "metric_0" in label)
    assert "critical" in label
    picker.chooser.value = picked
    wait_for(lambda: f"Neighbours of {picked}" in picker.message.value)
    assert picker.wanted.value == picked
    for said in ("metric metric_0", "Found by", "data (CSV)", "query (copy)"):
        assert said in picker.answer.value.replace("<wbr>", "")
    first = picker.answer.value
    picker.wanted.value = str(anomaly_id(TENANT, 12))
    wait_for(lambda: str(anomaly_id(TENANT, 12)) in picker.message.value and "Searching" not in picker.message.value)
    assert picker.answer.value != first


@pytest.mark.parametrize(("wrong", "said"), [("<b>", "UUID"), (str(anomaly_id(OTHER, 1)), str(anomaly_id(OTHER, 1)))])
def test_an_anomaly_that_is_not_there_is_one_clear_message(model: ExplorerModel, wrong: str, said: str) -> None:
    picker = neighbours(model, wrong)
    wait_for(lambda: 'role="alert"' in picker.message.value)
    assert said in picker.message.value
    assert "<b>" not in picker.message.value
    assert picker.answer.value == ""
