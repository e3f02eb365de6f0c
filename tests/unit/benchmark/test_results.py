"""Runs are judged, written, read and shown from one object."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.benchmark.runs import NAME, WRONG, a_run, measured
from workbench.benchmark.concurrency import TIME_ENDED, Load
from workbench.benchmark.environment import environment_frame, indexes_frame
from workbench.benchmark.history import read_runs
from workbench.benchmark.results import BenchmarkRun, Outcome, write_run
from workbench.benchmark.workloads import Side
from workbench.errors import ConfigurationError
from workbench.reporting.benchmark_text import claimed_quantiles, headline, report_lines

SOURCE, TARGET = measured(Side.POSTGRESQL, 2.0), measured(Side.MONGODB, 1.0)


def test_a_target_is_met_by_a_p99_and_no_lower_quantile() -> None:
    run = a_run(SOURCE, TARGET)
    (judgement,) = run.judgements()
    assert (judgement.outcome, judgement.quantile, judgement.target_ms) == (Outcome.PASSED, 0.99, 100)
    assert run.passed
    assert not run.wanting
    assert claimed_quantiles(run) == "P99: 1"


@pytest.mark.parametrize(("samples", "quantile"), [(499, "P95"), (50, "P90"), (9, "none")])
def test_a_target_is_not_decided_by_too_few_samples(samples: int, quantile: str) -> None:
    run = a_run(SOURCE, measured(Side.MONGODB, 1, samples=samples))
    assert run.outcome is Outcome.NOT_DECIDED
    assert not run.passed
    assert run.wanting  # nothing at all was decided
    assert claimed_quantiles(run) == f"{quantile}: 1"
    (row,) = run.verdict_frame().to_dict("records")
    assert (row["state"], row["reason"]) == ("not decided", f"{samples} samples, a P99 needs 500")
    assert "0 of 1 targets met by MongoDB 8.0.17, 1 not decided for lack of samples" in headline(run)


def test_a_lower_quantile_above_the_target_misses_it() -> None:
    run = a_run(SOURCE, measured(Side.MONGODB, 120, samples=50))
    assert run.outcome is Outcome.FAILED
    assert run.judgements()[0].reason == "P90 above the target"


def test_fewer_samples_than_were_asked_for_are_told() -> None:
    run = a_run(SOURCE, measured(Side.MONGODB, 1, samples=47), asked_samples=500)
    assert run.cut_short() == {NAME: 47}
    told = f"1 of 1 workloads have fewer than the 500 samples asked for, as the time ended (least: 47, {NAME})"
    assert any(line.startswith(told) for line in report_lines(run))
    assert a_run(SOURCE, TARGET).cut_short() == {}


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (a_run(SOURCE, measured(Side.MONGODB, 120)), "P99 above the target"),
        (a_run(SOURCE, replace(TARGET, errors={"NetworkTimeout": 2})), "errors: 2 NetworkTimeout"),
        (a_run(SOURCE, TARGET, checks=(WRONG,)), "the answers differ: rows: PostgreSQL 3, MongoDB 2"),
        (
            a_run(SOURCE, replace(TARGET, warm_ms=(), errors={"OperationFailure": 7})),
            "no execution succeeded (7 errors)",
        ),
    ],
)
def test_a_target_is_missed_by_slowness_errors_and_wrong_answers(run: BenchmarkRun, reason: str) -> None:
    assert run.outcome is Outcome.FAILED
    assert [judgement.reason for judgement in run.judgements()] == [reason]
    assert run.verdict_frame().state.tolist() == ["failed"]


def test_what_was_left_out_is_not_a_pass_and_named() -> None:
    facts = {"kind": "vector search", "question": "Like this?", "target_ms": 500.0, "sql": []}
    run = a_run(SOURCE, TARGET)
    run = replace(
        run,
        workloads={**run.workloads, "similar": facts},
        left_out={"similar": "PostgreSQL has no extension vector"},
    )
    assert run.outcome is Outcome.NOT_MEASURED
    assert not run.passed
    assert headline(run).startswith("1 of 2 targets met by MongoDB 8.0.17, 1 not measured (similar).")
    row = run.verdict_frame().to_dict("records")[1]
    assert (row["state"], row["reason"]) == ("not measured", "PostgreSQL has no extension vector")
    assert any("not measured PostgreSQL has no extension vector" in line for line in report_lines(run))


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = a_run(SOURCE, TARGET, checks=(WRONG,), index_effect=({"side": "MongoDB"},))
    file = write_run(run, tmp_path)
    assert file.parent == tmp_path / "benchmarks"
    (read,) = read_runs(tmp_path)
    assert read.as_dict() == run.as_dict()
    assert read.judgements() == run.judgements()


def test_files_of_another_format_are_left_out_of_the_history(tmp_path: Path) -> None:
    write_run(a_run(SOURCE, TARGET), tmp_path)
    (tmp_path / "benchmarks" / "00.json").write_text(json.dumps({"format": 0}))
    assert len(read_runs(tmp_path)) == 1
    assert read_runs(tmp_path / "none") == []


def test_a_folder_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_run(a_run(SOURCE, TARGET), tmp_path)


def test_the_tables_say_what_was_measured() -> None:
    run = a_run(SOURCE, TARGET)
    (row,) = run.verdict_frame().to_dict("records")
    assert row["ratio"] == pytest.approx(0.5)
    assert row["95 % interval"] == "0.50 to 0.50"
    source, target = run.summary_frame().to_dict("records")
    assert (source["database"], target["database"]) == ("PostgreSQL", "MongoDB")
    assert (target["samples"], target["cold samples"]) == (500, 1)
    assert target["a second"] == pytest.approx(1000, rel=0.01)
    assert target["cold median ms"] == pytest.approx(3)
    loads = run.load_frame()
    assert loads["answered a second"].tolist() == [40, 0]
    assert loads.errors.tolist() == [1, 0]


def test_the_environment_tells_what_a_write_waits_for() -> None:
    run = a_run(SOURCE, TARGET)
    rows = {row["what"]: row for row in environment_frame(run.environment).to_dict("records")}
    assert "synchronous_commit off" in rows["durability"]["PostgreSQL"]
    assert rows["durability"]["MongoDB"] == "write_concern w=majority; not told: storage_engine"
    assert indexes_frame(run.environment).to_dict("records") == [
        {"database": "PostgreSQL", "of": "detectors", "index": "detectors_pkey", "kB": 16.384}
    ]


def test_collections_with_too_few_documents_are_named() -> None:
    run = a_run(SOURCE, TARGET)
    assert run.incomplete() == {}
    environment = {**run.environment, "documents": {**run.environment["documents"], "audit_log": 7}}
    run = replace(run, environment=environment)
    assert run.incomplete() == {"audit_log": (10, 7)}
    assert "audit_log: 7 documents for 10 rows to migrate, so some answers must differ" in list(report_lines(run))
    run = replace(run, environment={**environment, "quarantined": {"investigation_audit_log": 3}})
    assert run.incomplete() == {}
    said = "investigation_audit_log: 3 rows are in quarantine; the answers were compared without them"
    assert said in list(report_lines(run))


def test_the_headline_compares_and_names_an_emulator_as_such() -> None:
    run = a_run(SOURCE, TARGET)
    assert headline(run) == (
        "1 of 1 targets met by MongoDB 8.0.17. By its median it is faster than PostgreSQL in 1 workloads, slower in 0, "
        "and neither can be told in 0."
    )
    alike = a_run(measured(Side.POSTGRESQL, 1), measured(Side.MONGODB, 1))
    assert "faster than PostgreSQL in 0 workloads, slower in 0, and neither can be told in 1." in headline(alike)
    versions = {"postgresql": "18.4", "mongodb": "SecantusDB 0.7.0b3 (embedded)"}
    emulated = replace(run, environment={**run.environment, "versions": versions})
    assert headline(emulated).endswith("its figures say nothing about a MongoDB server.")


def test_levels_that_the_time_did_not_allow_are_told_once() -> None:
    loads = tuple(Load(NAME, side, 64, (), 0.0, {}, note=TIME_ENDED) for side in Side)
    told = [line for line in report_lines(a_run(SOURCE, TARGET, loads=loads)) if "ended" in line]
    assert len(told) == 1
    assert told[0].startswith("2 of 2 levels of load, of 64 clients, were not measured")


def test_the_lines_show_each_workload_each_load_and_the_advice() -> None:
    plan = {
        "source": {"nodes": ["Seq Scan (t)"], "rows": 1, "execution_ms": 1.0, "advice": ["scans t"]},
        "target": [
            {"stages": ["COLLSCAN"], "indexes": [], "returned": 1, "documents_examined": 900, "advice": ["create one"]}
        ],
    }
    run = a_run(SOURCE, TARGET, plans={NAME: plan})
    text = "\n".join(report_lines(run))
    assert "audit history" in text
    assert "P99" in text
    assert "with 64 clients: no connection: too many" in text
    assert "4: 40 " in text
    assert f"{NAME}: scans t\n{NAME}: create one" in text
    assert run.plans_frame().examined.tolist()[1] == 900
