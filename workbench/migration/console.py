"""The progress of a migration for people: one bar or line for each stage, and notes as lines of their own."""

from __future__ import annotations

from typing import Self

from workbench.migration.results import Progress
from workbench.progress import progress

_TITLES = {"rows": ("migrate", "rows"), "schema": ("indexes and validators", "steps")}


class MigrationConsole:
    """Give it to `migrate` as `on_progress`; each stage opens its own bar."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close(completed=kind is None)

    def __call__(self, step: Progress) -> None:
        if self._bar is None or step.stage != self._stage:
            self._close(completed=True)
            self._stage = step.stage
            self._bar = progress(step.total, *_TITLES[step.stage])
        self._bar.update(step.done - self._bar.done)
        if step.note:
            self._bar.note(step.note)

    def _close(self, *, completed: bool) -> None:
        if self._bar is not None:
            self._bar.close(completed=completed)
            self._bar = None
