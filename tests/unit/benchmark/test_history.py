"""Only runs of the same conditions are compared, and only changes beyond noise are marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.benchmark.runs import NAME, a_run, measured
from workbench.benchmark.history import changes_frame, compare_runs, last_comparable, machine_drift
from workbench.benchmark.results import BenchmarkRun
from workbench.benchmark.runner import Measurement
from workbench.benchmark.workloads import Side
from workbench.reporting.benchmark_text import report_lines


def run_at(hour: int, source: float = 2.0, target: float = 1.0, samples: int = 100) -> BenchmarkRun:
    return a_run(
        measured(Side.POSTGRESQL, source, samples=samples),
        measured(Side.MONGODB, target, samples=samples),
        started_at=f"2026-11-24T{hour:02d}:00:00+00:00",
    )


def test_the_newest_earlier_run_of_the_same_conditions_is_taken() -> None:
    now = run_at(12)
    other = replace(run_at(11), environment={**now.environment, "machine": {"cores": 64}})
    assert last_comparable(now, [run_at(9), run_at(10), other, run_at(13)]) == run_at(10)
    assert last_comparable(now, [other]) is None


@pytest.mark.parametrize(("now", "verdict"), [(1.0, "same"), (1.05, "same"), (1.5, "slower"), (0.5, "faster")])
def test_a_change_is_marked_beyond_noise_and_ten_per_cent(now: float, verdict: str) -> None:
    change = compare_runs(run_at(2, target=now), run_at(1))[1]
    assert (change.side, change.verdict) == (Side.MONGODB, verdict)
    assert change.ratio == pytest.approx(now, rel=0.02)


def test_a_change_within_its_own_noise_is_not_marked() -> None:
    noisy = measured(Side.MONGODB, 1.0, warm_ms=tuple(1.0 if n % 2 else 9.0 for n in range(60)))
    calm = measured(Side.MONGODB, 1.0, warm_ms=tuple(1.0 if n % 3 else 9.0 for n in range(60)))
    source = measured(Side.POSTGRESQL, 2.0)
    assert compare_runs(a_run(source, noisy), a_run(source, calm))[1].verdict == "same"


def test_runs_with_too_few_samples_or_other_workloads_are_not_compared() -> None:
    assert compare_runs(run_at(2, samples=9), run_at(1)) == ()
    assert compare_runs(run_at(2), replace(run_at(1), measurements=())) == ()


def test_the_largest_marked_changes_stand_first_and_the_report_names_them() -> None:
    old, new = run_at(1), run_at(2, source=2.02, target=3.0)
    frame = changes_frame(compare_runs(new, old))
    assert frame.change.tolist() == ["slower", "same"]
    text = "\n".join(report_lines(new, [old]))
    assert "1 significant changes of 2" in text
    assert "slower, 1 -> 3 ms" in text
    assert "not as it was" not in text


def test_a_machine_that_was_busier_is_told_from_a_slower_database() -> None:
    old, new = run_at(1), run_at(2, source=4.0, target=2.0)
    assert machine_drift(new, old) == pytest.approx(2, rel=0.01)
    assert machine_drift(new, replace(old, measurements=())) == 1
    assert "2.00 times those of then" in "\n".join(report_lines(new, [old]))
    assert [change.verdict for change in compare_runs(new, old)] == ["same", "same"]
    slower = run_at(2, source=4.0, target=3.0)
    assert [(c.verdict, round(c.ratio, 1)) for c in compare_runs(slower, old)] == [("same", 1.0), ("slower", 1.5)]


def test_many_comparisons_mark_no_noise_but_a_real_change() -> None:
    random = np.random.default_rng(11)

    def run(changed: float = 1.0) -> BenchmarkRun:
        names = [f"w{number}" for number in range(40)]
        measurements = tuple(
            Measurement(
                name, side, tuple(random.lognormal(sigma=0.9, size=40) * (changed if name == "w7" else 1)), (), {}, 1.0
            )
            for name in names
            for side in Side
        )
        base = run_at(1)
        return replace(base, measurements=measurements, workloads=dict.fromkeys(names, base.workloads[NAME]))

    pairs = [compare_runs(run(), run()) for _ in range(20)]
    alone = [sum(not change.low <= 1 <= change.high for change in changes) for changes in pairs]
    assert sum(alone) > 20, "intervals alone mark noise in nearly every comparison"
    assert sum(any(change.significant for change in changes) for changes in pairs) <= 3
    marked = [change for change in compare_runs(run(changed=4), run()) if change.significant]
    assert [(change.workload, change.verdict) for change in marked] == [("w7", "slower")] * 2
