"""Detectors, runs and anomalies fit together; bursts share what similarity search can find."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import chain

from tests.unit.sample.test_investigations import as_dicts
from workbench.sample.detection import anomaly_rows, detector_rows, incident_families, run_interval, run_rows
from workbench.sample.plan import SamplePlan
from workbench.sample.values import DAY, HISTORY_US

PLAN = SamplePlan(scale=1, seed=42)
DETECTORS = {row["id"]: row for row in as_dicts("detectors", detector_rows(PLAN))}
RUNS = {row["id"]: row for row in as_dicts("detection_runs", run_rows(PLAN))}
ANOMALIES = {row["id"]: row for row in as_dicts("anomaly_events", anomaly_rows(PLAN))}
FAMILIES = dict(chain.from_iterable(incident_families(PLAN)))


def test_the_schedule_fits_into_the_history() -> None:
    assert run_interval(PLAN) == DAY
    for scale in (20, 1000):
        plan = SamplePlan(scale, 1)
        assert run_interval(plan) * plan.runs_per_detector <= HISTORY_US


def test_runs_follow_each_other_and_end_as_their_status_says() -> None:
    assert len(RUNS) == PLAN.runs
    starts = defaultdict(list)
    for run in RUNS.values():
        assert run["detector_id"] in DETECTORS
        assert (run["finished_at"] is None) == (run["status"] in ("queued", "running"))
        assert run["finished_at"] is None or str(run["finished_at"]) > str(run["started_at"])
        assert str(run["window_from"]) < str(run["window_to"]) <= str(run["started_at"])
        starts[run["detector_id"]].append(str(run["window_to"]))
    assert all(len(set(times)) == PLAN.runs_per_detector for times in starts.values())
    assert {run["status"] for run in RUNS.values()} == {"queued", "running", "success", "failed"}


def test_anomalies_belong_to_a_successful_run_of_their_detector() -> None:
    assert len(ANOMALIES) == PLAN.anomalies
    for anomaly in ANOMALIES.values():
        run = RUNS[anomaly["run_id"]]
        assert run["status"] == "success"
        assert run["detector_id"] == anomaly["detector_id"]
        assert str(run["window_from"]) <= str(anomaly["window_start"]) < str(anomaly["window_end"])
        assert str(anomaly["window_end"]) <= str(run["window_to"]) < str(anomaly["created_at"])
        assert 0 <= float(anomaly["score"] or -1) <= 1


def test_json_columns_parse_and_numerics_have_many_digits() -> None:
    for anomaly in ANOMALIES.values():
        assert isinstance(json.loads(anomaly["cohort"] or ""), dict)
        assert isinstance(json.loads(anomaly["evidence"] or "{}"), dict)
    digits = [len(str(anomaly["observed"]).replace(".", "")) for anomaly in ANOMALIES.values()]
    assert 25 <= max(digits) <= 34
    for detector in DETECTORS.values():
        assert isinstance(json.loads(detector["cohort_by"] or ""), list)
        assert len(json.loads(detector["metrics"] or "")) == 2


def test_a_family_shares_metrics_cohort_and_words() -> None:
    members = defaultdict(list)
    for anomaly_id, family in FAMILIES.items():
        members[family].append(ANOMALIES[anomaly_id])
    assert 100 < len(members) < 250
    assert 0.6 < len(FAMILIES) / len(ANOMALIES) < 0.8
    for anomalies in members.values():
        assert 8 <= len(anomalies) <= 30
        assert len({anomaly["cohort"] for anomaly in anomalies}) == 1
        assert len({anomaly["metric"] for anomaly in anomalies}) <= 2
        words = {word for row in anomalies if row["evidence"] for word in json.loads(row["evidence"])["signals"]}
        assert len(words) <= 3


def test_no_column_tells_the_family() -> None:
    assert not any("family" in (value or "") for row in ANOMALIES.values() for value in row.values())
