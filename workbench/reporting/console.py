"""What a run says on the terminal: where it is while it runs, and three lines at its end."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from workbench.progress import SECONDS_BETWEEN_LINES, progress_mode
from workbench.reporting.execution import CellProgress
from workbench.reporting.runs import RunRecord
from workbench.reporting.states import look_of
from workbench.reporting.tables import cell_text


class RunConsole:
    """Shows the progress of notebooks on stderr: one line that rewrites itself, or event lines; see `progress`.

    Pass it as `on_progress`, and call `close` at the end.
    """

    def __init__(self) -> None:
        self._mode = progress_mode()
        self._place = ("", "")
        self._last_line = 0.0

    def __call__(self, event: CellProgress) -> None:
        text = f"{event.notebook} {event.cell}/{event.cells} {event.heading}"
        text += f" · {event.line}" if event.line else ""
        if self._mode == "bar":
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
        elif self._mode == "lines" and self._is_news(event):
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Clear the line."""
        if self._mode == "bar":
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _is_news(self, event: CellProgress) -> bool:
        place, now = (event.notebook, event.heading), time.monotonic()
        if place == self._place and now - self._last_line < SECONDS_BETWEEN_LINES:
            return False
        self._place, self._last_line = place, now
        return True


def closing_lines(record: RunRecord) -> list[str]:
    """The three lines that end a run: verdict, the number that matters, the path of the report."""
    look = look_of(record.shown_state)
    number = f"{cell_text(record.number)} {record.unit}".strip() if record.number is not None else "no number"
    return [f"{look.symbol} {look.word.upper()}: {record.headline}", number, str(_relative(record.report))]


def _relative(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
