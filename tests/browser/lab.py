"""The explorer in JupyterLab as a browser shows it: steps that the smoke test and the README's pictures share."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright
from pydantic import SecretStr

from workbench.connections import target_uri
from workbench.explorer.server import LabServer, start_lab
from workbench.settings import Settings

NOTEBOOK = "10_investigations.ipynb"
NO_BROWSER = "no Chromium is installed"
WAIT_MS = 60_000
_HARMLESS = ("favicon", "ResizeObserver loop")


def chromium() -> str | None:
    """Where Debian's Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Explorer:
    """The explorer's cell in an open notebook."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".wb-explorer")
        self.position = self.root.locator(".wb-position")
        self.problems: list[str] = []
        page.on("console", lambda m: self._note(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))

    def open(self, server: LabServer) -> None:
        """Open the notebook and run its cells down to the explorer."""
        self.page.goto(server.url)
        self.page.locator(".jp-Notebook .jp-Cell").first.click(timeout=WAIT_MS)
        expect(self.page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")).to_be_visible(timeout=WAIT_MS)
        for number in range(5):
            cell = self.page.locator(f'.jp-Cell[data-windowed-list-index="{number}"]')
            expect(cell).to_have_class(re.compile("jp-mod-active"))
            # not by the key, which is lost while the notebook scrolls
            self.page.get_by_role("button", name="Run this cell and advance (Shift+Enter)").first.click()
        expect(self.position).to_contain_text("1-50 of", timeout=WAIT_MS)

    def button(self, name: str) -> Locator:
        """A button by its label."""
        return self.root.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        """A field by its visible label."""
        return self.root.get_by_label(label, exact=True)

    def _note(self, text: str) -> None:
        if not any(word in text for word in _HARMLESS):
            self.problems.append(text)


@contextmanager
def lab_on_a_copy(settings: Settings, folder: Path, notebooks: Path) -> Iterator[LabServer]:
    """A JupyterLab on a copy of the notebooks, so that nothing is saved into the stored ones."""
    copy = folder / "notebooks"
    shutil.copytree(notebooks, copy, ignore=shutil.ignore_patterns("kernel-*", ".*"))
    target = SecretStr(target_uri(settings))  # the data folder of embedded servers is not this one
    own = settings.model_copy(update={"data_dir": folder / "data", "mongodb_uri": target})
    server = start_lab(own, copy, notebook=NOTEBOOK, allow_root=True)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def explorer_in_lab(settings: Settings, folder: Path, notebooks: Path) -> Iterator[Explorer]:
    """The explorer, shown in a headless Chromium of 1280 x 960, on the target that the settings name."""
    with lab_on_a_copy(settings, folder, notebooks) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            explorer = Explorer(browser.new_page(viewport={"width": 1280, "height": 960}, reduced_motion="reduce"))
            explorer.open(server)
            yield explorer
        finally:
            browser.close()
