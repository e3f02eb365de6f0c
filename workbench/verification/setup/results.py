"""What the setup checks found, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pandas as pd


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Outcome:
    """What one check says: its status, what it saw, and what to do if that is not right."""

    status: Status
    evidence: str
    todo: str = ""


def passed(evidence: str) -> Outcome:
    """All is as it must be."""
    return Outcome(Status.PASSED, evidence)


def warned(evidence: str, todo: str) -> Outcome:
    """The work can be done, but someone should know this."""
    return Outcome(Status.WARNED, evidence, todo)


def failed(evidence: str, todo: str) -> Outcome:
    """The work would fail, or could not be trusted."""
    return Outcome(Status.FAILED, evidence, todo)


def not_applicable(evidence: str) -> Outcome:
    """This server has no such thing, or does not tell."""
    return Outcome(Status.NOT_APPLICABLE, evidence)


@dataclass(frozen=True)
class Probe:
    """A check that can be run: its name, and the function that looks.

    Attributes:
        needed: the work needs what the check does, so that a missing right is a failure, and not a gap in the view.
    """

    name: str
    look: Callable[[Any], Outcome]
    needed: bool = False


@dataclass(frozen=True)
class SetupCheck:
    """One check that was run. `server` is PostgreSQL or MongoDB."""

    server: str
    name: str
    status: Status
    evidence: str
    todo: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        symbol = {"passed": "✔", "warned": "▲", "failed": "✖", "not_applicable": "–"}[self.status]
        line = f"{symbol} {self.server:<10} {self.name:<26} {self.evidence}"
        return f"{line}\n  -> {self.todo}" if self.todo else line


@dataclass(frozen=True)
class SetupResult:
    """All checks of a setup, in whatever form is wanted. `tried_writes` says whether the canary writes were made."""

    checks: tuple[SetupCheck, ...]
    seconds: float
    tried_writes: bool = True

    @property
    def passed(self) -> bool:
        """Whether no check failed; warnings do not count."""
        return not self.count(Status.FAILED)

    def count(self, status: Status) -> int:
        """The number of checks that ended so."""
        return sum(check.status is status for check in self.checks)

    def headline(self) -> str:
        """One sentence about all of it."""
        counts = ", ".join(f"{self.count(status)} {status.replace('_', ' ')}" for status in Status)
        return f"{len(self.checks)} checks: {counts}"

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        checks = [{**asdict(check), "status": str(check.status), "seconds": round(check.seconds, 4)}
                  for check in self.checks]  # fmt: skip
        return {"passed": self.passed, "seconds": round(self.seconds, 3), "checks": checks}

    def text(self) -> str:
        """The result for a terminal."""
        verdict = "PASSED" if self.passed else "FAILED"
        return "\n".join([*map(str, self.checks), "", f"{verdict}: {self.headline()} in {self.seconds:.1f} s"])

    def frame(self) -> pd.DataFrame:
        """A line a check: server, name, status, evidence, todo, seconds."""
        return pd.DataFrame([asdict(check) for check in self.checks], columns=list(SetupCheck.__dataclass_fields__))
