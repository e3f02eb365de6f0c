"""Progress of long work on stderr: a bar for people, lines for logs and notebooks, silence for comparisons.

The variable WORKBENCH_PROGRESS chooses the mode: `bar` (one line that rewrites itself), `lines` (an event line every
few seconds) or `silent`. Without it: a bar where stderr is a terminal, lines elsewhere. The runner of notebooks sets
`lines`; the check of stored outputs sets `silent`, because times differ from run to run.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Literal, Self, get_args

from tqdm import tqdm

from workbench.errors import ConfigurationError

Mode = Literal["bar", "lines", "silent"]

MODE_VARIABLE = "WORKBENCH_PROGRESS"
SECONDS_BETWEEN_LINES = 3.0


def progress_mode() -> Mode:
    """The mode that the environment asks for, or the one that suits stderr."""
    wanted = os.environ.get(MODE_VARIABLE, "")
    for mode in get_args(Mode):
        if wanted == mode:
            return mode  # type: ignore[no-any-return]
    if wanted:
        raise ConfigurationError(f"{MODE_VARIABLE} is {wanted!r}.", todo=f"Use one of {', '.join(get_args(Mode))}.")
    return "bar" if sys.stderr.isatty() else "lines"


class progress:
    """Counts work that is done and says how it goes; ends with one summary line.

    Use it as a context manager, or call `close` at the end. `update` costs about a microsecond between lines.

    Args:
        total: Units of the whole work, or None where it is not known.
        description: What is done; it leads each line.
        unit: What is counted, in the plural.
    """

    def __init__(self, total: int | None, description: str, unit: str = "rows") -> None:
        self.total, self.description, self.unit = total, description, unit
        self.done = 0
        self._mode = progress_mode()
        self._started = self._last_line = time.monotonic()
        self._bar = self._open_bar() if self._mode == "bar" else None

    def update(self, n: int = 1) -> None:
        """Count `n` more units."""
        self.done += n
        if self._bar is not None:
            self._bar.update(n)
        elif self._mode == "lines" and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._say(self._state())

    def note(self, text: str) -> None:
        """Write a sentence on a line of its own, without disturbing the bar."""
        if self._mode == "bar":
            tqdm.write(f"{self.description}: {text}", file=sys.stderr)
        elif self._mode == "lines":
            self._say(text)

    def close(self, *, completed: bool = True) -> None:
        """End, and write the summary: what was done, in how long, at which rate."""
        if self._bar is not None:
            self._bar.close()
        if self._mode != "silent":
            self._say(summary(self.done, time.monotonic() - self._started, self.unit, completed=completed))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(completed=kind is None)

    def _open_bar(self) -> tqdm[None]:
        return tqdm(
            total=self.total,
            desc=self.description,
            unit=f" {self.unit}",
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
            unit_scale=self.total is None or self.total >= 10_000,
        )

    def _state(self) -> str:
        seconds = time.monotonic() - self._started
        share = f" of {self.total:,} ({self.done / self.total:.0%})" if self.total else ""
        return f"{self.done:,}{share} {self.unit}, {self.done / seconds:,.0f} {self.unit}/s"

    def _say(self, text: str) -> None:
        print(f"{self.description}: {text}", file=sys.stderr, flush=True)


def summary(done: int, seconds: float, unit: str, *, completed: bool = True) -> str:
    """`12,400 rows in 3.2 s, 3,875 rows/s`; work that an error ended says so."""
    rate = f", {done / seconds:,.0f} {unit}/s" if done and seconds > 0 else ""
    return f"{'' if completed else 'stopped after '}{done:,} {unit} in {seconds:.1f} s{rate}"
