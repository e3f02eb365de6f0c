"""Results: one object, many forms; memory bounded whatever is found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from workbench.models.fields import utc_now
from workbench.verification import Check, CheckResult, MismatchesFound, SampleBound, TableResult, VerificationResult
from workbench.verification.findings import MAX_CLUSTERS, MAX_EXAMPLES, Findings


def findings(rows: int = 412) -> Findings:
    found = Findings("detectors")
    for number in range(rows):
        found.add(
            Check.FIELDS, "rows differ only in created_at: the microseconds", key=f"k{number}", field="created_at",
            expected="1", found="0",
        )  # fmt: skip
    return found


def result(found: Findings, **table: Any) -> VerificationResult:
    checks = (
        CheckResult("detectors", Check.COUNTS, "passed", 500, 0),
        CheckResult("detectors", Check.FIELDS, "failed" if found.count() else "passed", 5_000, found.count(), "", 2.0),
    )
    one = TableResult(
        "detectors", "detectors", 500, 499, 1, checks, found.clusters(), **{"seconds": 2.0, "compared": 499, **table}
    )
    return VerificationResult("run", utc_now(), 2.0, (one,), notes=("a note",))


def test_mismatches_of_one_cause_are_one_cluster_with_few_examples() -> None:
    (cluster,) = findings().clusters()
    assert (cluster.count, len(cluster.examples)) == (412, MAX_EXAMPLES)
    assert str(cluster) == "detectors: 412 rows differ only in created_at: the microseconds"
    assert str(cluster.examples[0]) == "detectors k0 created_at (target): expected 1, found 0"


def test_memory_is_bounded_by_causes_and_examples() -> None:
    found = Findings("detectors")
    for number in range(10_000):
        found.add(Check.FIELDS, f"cause {number}")
    clusters = found.clusters()
    assert len(clusters) == MAX_CLUSTERS + 1
    assert sum(cluster.count for cluster in clusters) == found.count() == 10_000
    assert clusters[0].cause == "mismatches of further causes"


def test_text_json_and_frames_say_the_same() -> None:
    found = result(findings())
    text = found.text()
    assert "FAILED: 412 mismatches; 499 rows in 2.0 s (250 rows/s); run run" in text
    assert "✖ detectors" in text
    assert "note: a note" in text
    stored = json.loads(json.dumps(found.as_dict()))
    assert (stored["passed"], stored["mismatches"], stored["tables"][0]["clusters"][0]["count"]) == (False, 412, 412)
    assert found.clusters_frame()["count"].tolist() == [412]
    assert len(found.examples_frame()) == MAX_EXAMPLES
    assert found.checks_frame().status.tolist() == ["passed", "failed"]
    assert found.tables_frame().mismatches.tolist() == [412]
    assert found.coverage_frame().compared.tolist() == [499]
    assert found.rates_frame().rows_per_second.tolist() == [249.5]


def test_a_table_comes_back_from_its_stored_form() -> None:
    table = result(findings(), buckets=64, wrong_buckets=(1, 5), source_fingerprint="a").tables[0]
    assert TableResult.from_dict(json.loads(json.dumps(table.as_dict()))) == table


def test_mismatches_are_raised_only_on_demand() -> None:
    good, bad = result(Findings("detectors")), result(findings())
    good.raise_for_mismatches()
    assert good.passed
    assert good.headline() == "No mismatch: 500 rows against 499 documents in 1 tables."
    with pytest.raises(MismatchesFound, match="412 mismatches in detectors") as caught:
        bad.raise_for_mismatches()
    assert caught.value.exit_code == 1
    assert caught.value.result is bad


def test_a_sample_says_what_it_does_not_know() -> None:
    bound = SampleBound(sampled=300, population=60_000, wrong=0, upper_bound=0.00993)
    assert str(bound) == (
        "300 of 60,000 rows compared, 0 differ: with 95% confidence at most 0.993% of the rows (about 596) differ"
    )


def test_what_was_left_out_is_not_claimed() -> None:
    found = result(Findings("detectors"), compared=20)
    assert found.headline() == (
        "No mismatch: 500 rows against 499 documents in 1 tables, of which 20 rows were compared."
    )
    assert found.coverage_frame().not_compared.tolist() == [479]
    assert (found.compare_rate, found.speed()) == (0.0, "")


def test_a_run_that_checked_nothing_did_not_pass() -> None:
    found = VerificationResult("run", utc_now(), 2.0, ())
    assert not found.passed
    assert found.headline() == "Nothing was checked."
    assert "FAILED: nothing was checked" in found.text()


def test_the_rate_is_compared_with_that_of_the_load() -> None:
    found = replace(result(Findings("detectors")), compare_seconds=0.5, load_rate=400.0)
    assert found.speed() == (
        "counts and fields: 998 rows/s, 2.5 times the 400 rows/s of the load (goal: at least 2 times)"
    )
    assert found.as_dict()["compare_rows_per_second"] == 998
