"""Sign-off gates: what must hold before the move is called done, each with its evidence, sample size and bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pymongo.database import Database

from workbench.errors import ConfigurationError
from workbench.migration.quarantine import COLLECTION as QUARANTINE
from workbench.migration.quarantine import OPEN
from workbench.migration.tables import TABLES
from workbench.verification import state
from workbench.verification.findings import Check
from workbench.verification.results import VerificationResult
from workbench.verification.sampling import upper_bound
from workbench.verification.setup.results import SetupResult, Status
from workbench.verification.waivers import Waiver, one_line

GateStatus = Literal["passed", "failed", "warned", "waived"]


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        sample: how much the evidence is made of, and in what unit.
        bound: with 95 % confidence at most this fraction of it is wrong; 0 where everything was looked at.
        finding: what is wrong, without figures that change from run to run: what a waiver is for.
    """

    name: str
    status: GateStatus
    evidence: str
    sample: str
    bound: float = 0.0
    waiver: str = ""
    finding: str = ""

    def __str__(self) -> str:
        symbol = {"passed": "✔", "failed": "✖", "warned": "▲", "waived": "▲"}[self.status]
        bound = f", at most {self.bound:.3%} wrong" if self.bound else ""
        return f"{symbol} {self.name:<24} {self.status:<7} {self.evidence} ({self.sample}{bound}){self.waiver}"


@dataclass(frozen=True)
class Gates:
    """All gates of a verification.

    Attributes:
        partial: why this was not all that a sign-off needs; empty if it was.
    """

    gates: tuple[Gate, ...]
    partial: str = ""

    @property
    def passed(self) -> bool:
        """Whether no gate failed; warnings and waived gates do not count. This is not yet a sign-off."""
        return all(gate.status != "failed" for gate in self.gates)

    @property
    def signed_off(self) -> bool:
        """Whether everything was checked and no gate failed."""
        return self.passed and not self.partial

    def text(self) -> str:
        """The gates for a terminal."""
        return "\n".join([*map(str, self.gates), self.headline()])

    def headline(self) -> str:
        """One sentence about all of them."""
        closed = [gate.name for gate in self.gates if gate.status == "failed"]
        if closed:
            return f"NO SIGN-OFF: {', '.join(closed)}" + (f"; partial: {self.partial}" if self.partial else "")
        if self.partial:
            return f"PARTIAL, NOT A SIGN-OFF: {self.partial}"
        less = [f"{gate.name} {gate.status}" for gate in self.gates if gate.status != "passed"]
        return f"SIGN-OFF: no gate failed; {', '.join(less)}" if less else "SIGN-OFF: every gate passed"

    def as_dict(self) -> dict[str, Any]:
        """The gates as JSON types."""
        return {
            "passed": self.passed,
            "signed_off": self.signed_off,
            "partial": self.partial,
            "gates": [asdict(gate) for gate in self.gates],
        }

    def frame(self) -> pd.DataFrame:
        """A line a gate: name, status, evidence, sample, bound, waiver."""
        columns = [name for name in Gate.__dataclass_fields__ if name != "finding"]
        return pd.DataFrame([asdict(gate) for gate in self.gates], columns=columns)


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
    waivers: Sequence[Waiver] = (),
    reports_dir: Path = Path("reports"),
) -> Gates:
    """Judge every gate.

    Args:
        result: of the verification.
        database: the target, for the quarantine.
        setup: result of the setup checks; without it this is no sign-off.
        waivers: a failed gate with one for what was found becomes `waived`.
        reports_dir: where the newest benchmark is looked for.

    Side effects: the gates are recorded in the run, so that `workbench verify --waive` knows what it is for.

    Raises:
        ConfigurationError: a waiver is for a gate that does not exist.
    """
    unknown = sorted({waiver.gate for waiver in waivers} - set(GATES))
    if unknown:
        raise ConfigurationError(
            f"There is no gate {', '.join(map(repr, unknown))} to waive.", todo=f"Gates: {', '.join(GATES)}."
        )
    evidence = _Evidence(result, setup, database, reports_dir)
    gates = Gates(tuple(_waived(make(evidence), waivers) for make in GATES.values()), _partial(result, setup))
    state.save_gates(database, result.run_id, [asdict(gate) for gate in gates.gates])
    return gates


def _partial(result: VerificationResult, setup: SetupResult | None) -> str:
    """What a sign-off needs and this verification did not look at."""
    missing = []
    if len(result.tables) < len(TABLES):
        missing.append(f"{len(result.tables)} of {len(TABLES)} tables were checked")
    done = [{check.check for check in table.checks} for table in result.tables]
    left_out = [check for check in Check if not all(check in checks for checks in done)]
    if left_out:
        missing.append(f"without the checks {', '.join(left_out)}")
    if result.sample:
        missing.append("only a sample was compared")
    elif Check.FIELDS not in left_out and not result.is_complete:
        missing.append(f"only {result.compared:,} of {result.rows:,} rows were compared")
    if setup is None:
        missing.append("the setup was not checked")
    return "; ".join(missing)


def _waived(gate: Gate, waivers: Sequence[Waiver]) -> Gate:
    """The gate, waived if a waiver is for what was found; one for another finding is shown and changes nothing."""
    mine = [waiver for waiver in waivers if waiver.gate == gate.name]
    if gate.status != "failed" or not mine:
        return gate
    finding = one_line(gate.finding or gate.evidence)
    for waiver in mine:
        if waiver.finding == finding:
            note = f" WAIVED by {waiver.who} on {waiver.date}: {waiver.reason}"
            return replace(gate, status="waived", waiver=note)
    last = mine[-1]
    return replace(gate, waiver=f" (what {last.who} waived on {last.date} was: {last.finding})")


def _setup(evidence: _Evidence) -> Gate:
    found = evidence.setup
    if found is None:
        return Gate("setup", "warned", "not checked in this run; see `workbench check`", "0 checks")
    worst = [check.name for check in found.checks if check.status is Status.FAILED]
    said = f"failed: {', '.join(worst)}" if worst else found.headline().split(": ", 1)[1]
    said += "" if found.tried_writes else "; writes were not tried"
    return Gate("setup", "failed" if worst else "passed", said, f"{len(found.checks)} checks")


def _checked(evidence: _Evidence, name: str, checks: tuple[Check, ...], unit: str) -> Gate:
    """A gate that passes if these checks passed for every table."""
    found = [check for table in evidence.result.tables for check in table.checks if check.check in checks]
    examined, wrong = sum(check.examined for check in found), sum(check.wrong for check in found)
    sample = f"{examined:,} {unit}"
    bound = upper_bound(examined, wrong) if evidence.result.sample and examined else 0.0
    bound = max([bound, *(check.bound for check in found)])
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


def _ledger(evidence: _Evidence) -> Gate:
    """A table without a ledger was loaded by something else, and its rows are accounted for nowhere."""
    gate = _checked(evidence, "ledger", (Check.LEDGER,), "partitions")
    skipped = [
        table.table
        for table in evidence.result.tables
        for check in table.checks
        if check.check is Check.LEDGER and check.status == "skipped"
    ]
    if gate.status == "failed" or not skipped:
        return gate
    return replace(gate, status="failed", evidence=f"no ledger of {', '.join(skipped)}")


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
    from workbench.benchmark.results import Outcome

    run = max(read_runs(evidence.reports_dir), key=lambda run: run.started_at, default=None)
    speed = f"; {evidence.result.speed()}" if evidence.result.speed() else ""
    if run is None:
        return Gate("performance", "warned", f"not measured; see `workbench benchmark`{speed}", "0 workloads")
    judged = run.judgements()
    missed = [judgement.workload for judgement in judged if judgement.outcome is Outcome.FAILED]
    open_ones = [f"{j.workload} ({j.outcome})" for j in judged if j.outcome not in (Outcome.PASSED, Outcome.FAILED)]
    product = str(run.environment["versions"]["mongodb"])
    status: GateStatus = "failed" if missed else "warned" if open_ones else "passed"
    said = "every workload meets its target"
    if missed:
        said = f"missed their target: {', '.join(missed)}"
    elif open_ones:
        said = f"no target is known to be missed, but not all are known to be met: {', '.join(open_ones[:5])}"
        said += f" and {len(open_ones) - 5} more" if len(open_ones) > 5 else ""
    if is_emulator(product):
        status, said = "warned", f"{said}; measured on {product}, which says little about MongoDB"
    return Gate(
        "performance", status, said + speed, f"{len(judged)} workloads of {run.started_at}", finding=said
    )  # fmt: skip


GATES: dict[str, Callable[[_Evidence], Gate]] = {
    "setup": _setup,
    "lossless mapping": _lossless,
    "ledger": _ledger,
    "parity": lambda evidence: _checked(evidence, "parity", (Check.COUNTS, Check.AGGREGATES), "rows and aggregates"),
    "invariants": lambda evidence: _checked(evidence, "invariants", (Check.REFERENCES,), "references and histories"),
    "quarantine dispositioned": _quarantine,
    "indexes": lambda evidence: _checked(evidence, "indexes", (Check.STRUCTURE,), "indexes, options and embeddings"),
    "performance": _performance,
}
"""Name of the gate -> how it is judged."""
