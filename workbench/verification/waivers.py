"""Waivers: a person takes responsibility for a gate that does not pass, in a line that shows if it was altered.

A line of the file is `gate | who | date | reason | finding | signature`; lines that begin with # are comments. The
finding is what was wrong when it was signed ("3 mismatches in detectors"): a waiver is for that, and for nothing that
goes wrong later. The signature is the first 16 hexadecimal digits of SHA-256 over the five texts before it, so a line
that was edited or mistyped is noticed. It proves no identity: who may write into the file is a matter of the
repository it is kept in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

from workbench.errors import ConfigurationError

WAIVERS_FILE = Path("waivers.txt")
_SEPARATOR = " | "


@dataclass(frozen=True)
class Waiver:
    """One gate that may fail, who said so, when and why, and what was wrong then."""

    gate: str
    who: str
    date: str
    reason: str
    finding: str

    @property
    def signature(self) -> str:
        """What the line must end with."""
        return sha256(_SEPARATOR.join(self._texts).encode()).hexdigest()[:16]

    @property
    def _texts(self) -> tuple[str, ...]:
        return self.gate, self.who, self.date, self.reason, self.finding

    def line(self) -> str:
        """The waiver as a line of the file."""
        return _SEPARATOR.join((*self._texts, self.signature))


def read_waivers(path: Path = WAIVERS_FILE) -> list[Waiver]:
    """The waivers of a file; none if there is no file.

    Raises:
        ConfigurationError: a line is malformed, or its signature does not fit.
    """
    if not path.is_file():
        return []
    found: list[Waiver] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        waiver = Waiver(*parts[:5]) if len(parts) == 6 else None
        if waiver is None or waiver.signature != parts[-1]:
            raise ConfigurationError(
                f"{path}, line {number}: not a waiver, or altered after it was signed.",
                todo="Remove it, and sign it again: workbench verify --waive GATE --who NAME --reason TEXT",
            )
        found.append(waiver)
    return found


def add_waiver(gate: str, who: str, reason: str, finding: str, path: Path = WAIVERS_FILE) -> Waiver:
    """Sign a waiver for what is wrong now, with today's date, and append it to the file.

    Raises:
        ConfigurationError: a text is empty or holds a separator.
    """
    for name, text in (("who", who), ("reason", reason)):
        if not text.strip() or "|" in text or "\n" in text:
            raise ConfigurationError(f"A waiver needs --{name}: one line without the character |.")
    waiver = Waiver(gate, who.strip(), date.today().isoformat(), reason.strip(), one_line(finding))  # noqa: DTZ011 - a person's calendar day
    with path.open("a", encoding="utf-8") as file:
        file.write(waiver.line() + "\n")
    return waiver


def one_line(finding: str) -> str:
    """What is wrong, as it stands in a waiver."""
    return " ".join(finding.replace("|", "/").split())
