"""Sign-off gates: what must hold before the move is called done, each with its evidence, sample size and bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pymongo.database import Database

from workbench.errors import ConfigurationError
from workbench.migration.quarantine import COLLECTION as QUARANTINE
from workbench.migration.quarantine import OPEN
from workbench.verification.findings import Check
from workbench.verification.results import VerificationResult
from workbench.verification.sampling import upper_bound
from workbench.verification.setup.results import SetupResult, Status
from workbench.verification.waivers import Waiver

GateStatus = Literal["passed", "failed", "warned", "waived"]


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        sample: how much the evidence is made of, and in what unit.
        bound: with 95 % confidence at most this fraction of it is wrong; 0 where everything was looked at.
    """

    name: str
    status: GateStatus
    evidence: str
    sample: str
    bound: float = 0.0
    waiver: str = ""

    def __str__(self) -> str:
        symbol = {"passed": "✔", "failed": "✖", "warned": "▲", "waived": "▲"}[self.status]
        bound = f", at most {self.bound:.3%} wrong" if self.bound else ""
        return f"{symbol} {self.name:<24} {self.status:<7} {self.evidence} ({self.sample}{bound}){self.waiver}"


@dataclass(frozen=True)
class Gates:
    """All gates of a verification."""

    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate failed; warnings and waived gates do not count."""
        return all(gate.status != "failed" for gate in self.gates)

    def text(self) -> str:
        """The gates for a terminal."""
        closed = [gate.name for gate in self.gates if gate.status == "failed"]
        end = "SIGN-OFF: every gate is open" if self.passed else f"NO SIGN-OFF: {', '.join(closed)}"
        return "\n".join([*map(str, self.gates), end])

    def as_dict(self) -> dict[str, Any]:
        """The gates as JSON types."""
        return {"passed": self.passed, "gates": [asdict(gate) for gate in self.gates]}

    def frame(self) -> pd.DataFrame:
        """A line a gate: name, status, evidence, sample, bound, waiver."""
        return pd.DataFrame([asdict(gate) for gate in self.gates], columns=list(Gate.__dataclass_fields__))


@dataclass(frozen=True)
class _Evidence:
    result: VerificationResult
    setup: SetupResult | None
    database: Database[Any]
    reports_dir: Path


def judge(
    result: VerificationResult,
    database: Database[Any],
    *,
    setup: SetupResult | None = None,
    waivers: Mapping[str, Waiver] | None = None,
    reports_dir: Path = Path("reports"),
) -> Gates:
    """Judge every gate.

    Args:
        result: of the verification.
        database: the target, for the quarantine.
        setup: result of the setup checks; without it that gate is only a warning.
        waivers: by name of the gate; a failed gate with one becomes `waived`.
        reports_dir: where the newest benchmark is looked for.

    Raises:
        ConfigurationError: a waiver is for a gate that does not exist.
    """
    unknown = sorted(set(waivers or {}) - set(GATES))
    if unknown:
        raise ConfigurationError(
            f"There is no gate {', '.join(map(repr, unknown))} to waive.", todo=f"Gates: {', '.join(GATES)}."
        )
    evidence = _Evidence(result, setup, database, reports_dir)
    return Gates(tuple(_waived(make(evidence), (waivers or {}).get(name)) for name, make in GATES.items()))


def _waived(gate: Gate, waiver: Waiver | None) -> Gate:
    if waiver is None or gate.status != "failed":
        return gate
    note = f" WAIVED by {waiver.who} on {waiver.date}: {waiver.reason}"
    return Gate(gate.name, "waived", gate.evidence, gate.sample, gate.bound, note)


def _setup(evidence: _Evidence) -> Gate:
    found = evidence.setup
    if found is None:
        return Gate("setup", "warned", "not checked in this run; see `workbench check`", "0 checks")
    worst = [check.name for check in found.checks if check.status is Status.FAILED]
    said = f"failed: {', '.join(worst)}" if worst else found.headline().split(": ", 1)[1]
    return Gate("setup", "failed" if worst else "passed", said, f"{len(found.checks)} checks")


def _checked(evidence: _Evidence, name: str, checks: tuple[Check, ...], unit: str) -> Gate:
    """A gate that passes if these checks passed for every table."""
    found = [check for table in evidence.result.tables for check in table.checks if check.check in checks]
    examined, wrong = sum(check.examined for check in found), sum(check.wrong for check in found)
    sample = f"{examined:,} {unit}"
    bound = upper_bound(examined, wrong) if evidence.result.sample and examined else 0.0
    failed = [check.table for check in found if check.status == "failed"]
    if failed:
        tables = ", ".join(dict.fromkeys(failed))
        return Gate(name, "failed", f"{wrong:,} mismatches in {tables}", sample, bound)
    if not examined:
        return Gate(name, "warned", "not checked in this run", sample)
    return Gate(name, "passed", "no mismatch", sample, bound)


def _lossless(evidence: _Evidence) -> Gate:
    gate = _checked(evidence, "lossless mapping", (Check.FIELDS,), "values")
    if gate.status != "passed":
        return gate
    return Gate(gate.name, "passed", "each source value is restored exactly from its document", gate.sample, gate.bound)


def _quarantine(evidence: _Evidence) -> Gate:
    found = list(evidence.database[QUARANTINE].find({}, {"state": 1, "reason": 1}))
    undecided = [entry["reason"] for entry in found if entry["state"] == OPEN]
    if undecided:
        said = f"{len(undecided):,} rows wait for a decision: {', '.join(sorted(set(undecided))[:5])}"
        return Gate("quarantine dispositioned", "failed", said, f"{len(found):,} rows")
    return Gate("quarantine dispositioned", "passed", "no row waits for a decision", f"{len(found):,} rows")


def _performance(evidence: _Evidence) -> Gate:
    """The newest benchmark of the workloads; figures of an emulator say nothing about MongoDB."""
    from workbench.benchmark.environment import is_emulator
    from workbench.benchmark.history import read_runs

    run = max(read_runs(evidence.reports_dir), key=lambda run: run.started_at, default=None)
    if run is None:
        return Gate("performance", "warned", "not measured; see `workbench benchmark`", "0 workloads")
    judged = run.judgements()
    missed = [judgement.workload for judgement in judged if not judgement.passed]
    product = str(run.environment["versions"]["mongodb"])
    said = f"missed their target: {', '.join(missed)}" if missed else "every workload meets its target"
    status: GateStatus = "failed" if missed else "passed"
    if is_emulator(product):
        status, said = "warned", f"{said}; measured on {product}, which says little about MongoDB"
    return Gate("performance", status, said, f"{len(judged)} workloads of {run.started_at}")


GATES: dict[str, Callable[[_Evidence], Gate]] = {
    "setup": _setup,
    "lossless mapping": _lossless,
    "ledger": lambda evidence: _checked(evidence, "ledger", (Check.LEDGER,), "partitions"),
    "parity": lambda evidence: _checked(evidence, "parity", (Check.COUNTS, Check.AGGREGATES), "rows and aggregates"),
    "invariants": lambda evidence: _checked(evidence, "invariants", (Check.REFERENCES,), "references and histories"),
    "quarantine dispositioned": _quarantine,
    "indexes": lambda evidence: _checked(evidence, "indexes", (Check.STRUCTURE,), "indexes, options and embeddings"),
    "performance": _performance,
}
"""Name of the gate -> how it is judged."""
