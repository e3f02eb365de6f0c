"""A smoke test of the explorer in real JupyterLab: open, filter, page, open a detail, all without an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import NO_BROWSER, Explorer, chromium, explorer_in_lab
from tests.cases import CASE, MARKUP, explored_target
from workbench.settings import Settings

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_BROWSER)


@pytest.fixture(scope="module")
def explorer(
    servers: Settings, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Explorer]:
    folder = tmp_path_factory.mktemp("lab")
    with (
        explored_target(servers) as settings,
        explorer_in_lab(settings, folder, request.config.rootpath / "notebooks") as explorer,
    ):
        yield explorer


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path


def test_filter_page_and_open_a_detail(explorer: Explorer, pictures: Path) -> None:
    explorer.button("Next page").click()
    expect(explorer.position).to_have_text("51-100 of about 121")
    explorer.button("Previous page").click()
    expect(explorer.position).to_have_text("1-50 of about 121")
    explorer.page.screenshot(path=pictures / "list.png")

    explorer.field("Search").fill("case-")
    expect(explorer.position).to_have_text("1-1 of about 1")
    expect(explorer.root.get_by_role("rowheader", name=CASE)).to_be_visible()
    explorer.button("Open").click()
    expect(explorer.root.get_by_role("heading", name=CASE)).to_be_visible()
    explorer.button("Findings").click()
    expect(explorer.root.get_by_role("img", name="Bar chart of risk by domain")).to_be_visible()
    explorer.page.screenshot(path=pictures / "detail.png")
    explorer.button("History").click()
    expect(explorer.root.get_by_text("Changes from version 0 to 5").first).to_be_visible()
    explorer.button("Similar").click()
    expect(explorer.root.get_by_text("metric metric_0").first).to_be_visible(timeout=20_000)

    assert all((pictures / name).stat().st_size > 10_000 for name in ("list.png", "detail.png"))
    assert explorer.problems == []


def test_markup_in_data_stays_text(explorer: Explorer) -> None:
    explorer.field("Search").fill("case-")
    expect(explorer.root.get_by_role("cell", name=MARKUP)).to_be_visible()
    assert explorer.root.locator("script").count() == 0


def test_the_keyboard_reaches_everything(explorer: Explorer) -> None:
    explorer.field("Search").fill("")
    expect(explorer.position).to_have_text("1-50 of about 121")
    explorer.field("Search").focus()
    reached = []
    for _ in range(40):
        explorer.page.keyboard.press("Tab")
        reached.append(
            explorer.page.evaluate(
                "() => { const e = document.activeElement, label = e.labels?.[0]?.innerText;"
                " return e.tagName === 'BUTTON' ? e.innerText : label || e.ariaLabel || e.tagName; }"
            ).strip()
        )
        if "Open" in reached:
            break
    wanted = ["Tenant", "User", "Status", "Stage", "From day", "To day", "Clear filters", "Next page", "Open"]
    labels = [next((name for name in wanted if text.startswith(name)), text) for text in reached]
    assert [name for name in dict.fromkeys(labels) if name in wanted] == wanted, labels

    explorer.field("Pick").focus()
    explorer.page.keyboard.press("ArrowDown")
    explorer.button("Open").press("Enter")
    expect(explorer.root.get_by_role("heading", name="acme-investigation-")).to_be_visible()


def test_data_and_query_stand_beside_the_table(explorer: Explorer) -> None:
    with explorer.page.expect_download() as download:
        explorer.root.get_by_role("link", name="data (CSV)").first.click()
    assert Path(download.value.path()).read_text("utf-8").startswith("investigation,user,status")
    explorer.root.get_by_text("query (copy)").first.click()
    query = explorer.root.get_by_role("textbox", name="mongosh query of Investigations").first
    assert query.input_value().startswith('db.investigations.find({"tenant_id": "acme"')


def test_there_is_no_news_pop_up(explorer: Explorer) -> None:
    assert explorer.page.get_by_text("Would you like to receive official Jupyter news").count() == 0
