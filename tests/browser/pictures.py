"""Make the README's pictures of the explorer anew, from the demo's data:

    workbench demo && python -m tests.browser.pictures

It needs Chromium (`apt-get install chromium`) and writes docs/images/explorer-list.png and explorer-detail.png.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.lab import Explorer, explorer_in_lab
from workbench.settings import load_settings

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Write both pictures."""
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        explorer_in_lab(load_settings(), Path(folder), ROOT / "notebooks") as explorer,
    ):
        explorer.page.get_by_role("tab", name="File Browser").first.click()  # a second click folds it away
        _filtered(explorer)
        explorer.root.screenshot(path=images / "explorer-list.png")
        explorer.button("Open").click()
        explorer.button("Findings").click()
        picture = explorer.root.get_by_role("img").first
        expect(picture).to_be_visible()
        picture.scroll_into_view_if_needed()
        explorer.page.screenshot(path=images / "explorer-detail.png")


def _filtered(explorer: Explorer) -> None:
    """Show the completed investigations; the newest of them is picked."""
    before = explorer.position.inner_text()
    explorer.field("Status").select_option("COMPLETED")
    expect(explorer.position).not_to_have_text(before)


if __name__ == "__main__":
    main()
