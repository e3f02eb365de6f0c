"""The performance gate passes only on targets that are known to be met."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.benchmark.runs import a_run, measured
from workbench.benchmark.results import write_run
from workbench.benchmark.workloads import Side
from workbench.verification.gates import GATES


@pytest.mark.parametrize(
    ("milliseconds", "samples", "status", "said"),
    [
        (1, 500, "passed", "every workload meets its target"),
        (200, 500, "failed", "missed their target: audit history"),
        (1, 100, "warned", "not all are known to be met: audit history (not decided)"),
    ],
)
def test_too_few_samples_are_no_pass(milliseconds: float, samples: int, status: str, said: str, tmp_path: Path) -> None:
    run = a_run(measured(Side.POSTGRESQL, 2), measured(Side.MONGODB, milliseconds, samples=samples))
    write_run(run, tmp_path)
    evidence: Any = SimpleNamespace(reports_dir=tmp_path, result=SimpleNamespace(speed=lambda: ""))
    gate = GATES["performance"](evidence)
    assert gate.status == status
    assert said in gate.evidence
