"""Detectors that run on a schedule, their runs, and the anomalies that they find, in bursts and singly.

A burst belongs to an incident family: the same set of metrics, cohort pattern and evidence words, seen by a few
detectors in a few runs. The family's name is in no column; `workbench_sample.incident_family` alone knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from workbench.sample.plan import SamplePlan
from workbench.sample.values import (
    DAY,
    HISTORY_US,
    HOUR,
    MINUTE,
    REFERENCE_US,
    SECOND,
    Ints,
    Row,
    dumps,
    fraud_scores,
    hashes,
    picks,
    timestamps,
    uniforms,
    uuids,
)

RUNS_IN_BLOCK = 4_000
ANOMALIES_IN_BLOCK = 1_000

_INTERVALS = (DAY, 12 * HOUR, 6 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR)
_TYPES = ("stl_mad", "cusum", "isoforest", "rcf", "matrix_profile")
_METRICS = (
    "tx_count", "decline_rate", "chargeback_rate", "avg_amount", "new_device_rate", "refund_rate", "login_failures",
    "velocity_per_card", "distinct_ips", "otp_failures", "signup_rate", "night_share",
)  # fmt: skip
_COHORTS = {
    "country": ("BR", "DE", "FR", "IN", "JP", "MX", "NG", "PL", "UA", "US"),
    "merchant_category": ("4829", "5411", "5732", "5967", "6051", "7995"),
    "channel": ("web", "ios", "android", "pos", "api"),
    "issuer": ("Banque Éclair", "Città Bank", "Nordbank Ö", "Río Crédito", "Union 東"),
    "device_class": ("emulator", "rooted", "headless", "desktop", "tablet"),
}
_WORDS = (
    "bin attack", "card testing", "credential stuffing", "sim swap", "mule network", "refund abuse", "proxy farm",
    "device spoofing", "gift cards", "synthetic identity", "triangulation", "friendly fraud", "account takeover",
    "promo abuse", "phishing kit", "enumeration", "bust-out", "first-party", "money transfer", "otp relay",
)  # fmt: skip


def run_interval(plan: SamplePlan) -> int:
    """Microseconds between two runs of a detector: the longest usual interval that fits into the history."""
    fitting = (interval for interval in _INTERVALS if interval * plan.runs_per_detector <= HISTORY_US)
    return next(fitting, HISTORY_US // plan.runs_per_detector)


def detector_ids(plan: SamplePlan, index: Ints) -> list[str]:
    return uuids(plan.seed, "detector", index)


def run_ids(plan: SamplePlan, index: Ints) -> list[str]:
    return uuids(plan.seed, "run", index)


def anomaly_ids(plan: SamplePlan, index: Ints) -> list[str]:
    return uuids(plan.seed, "anomaly", index)


def detector_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """One block with all of `detectors`: they grow with the square root of the scale."""
    index = np.arange(plan.detectors, dtype=np.int64)
    created = REFERENCE_US - HISTORY_US - picks(plan.seed, "detector created", index, 300 * DAY)
    updated = created + picks(plan.seed, "detector updated", index, 200 * DAY)
    yield [
        (
            detector_id,
            f"{_TYPES[bits % 5]} über {_METRICS[bits % 12]} #{number}",
            _TYPES[bits % 5],
            dumps([field for place, field in enumerate(_COHORTS) if bits >> (8 + place) & 1] or ["country"]),
            dumps([_METRICS[bits % 12], _METRICS[(bits + 1 + (bits >> 16) % 11) % 12]]),
            dumps(_parameters(bits)) if bits % 13 else None,
            "false" if bits >> 24 & 7 == 0 else "true",
            created_at,
            updated_at,
        )
        for number, detector_id, bits, created_at, updated_at in zip(
            index.tolist(),
            detector_ids(plan, index),
            hashes(plan.seed, "detector facts", index).tolist(),
            timestamps(created),
            timestamps(updated),
            strict=True,
        )
    ]


def _parameters(bits: int) -> dict[str, object]:
    return {
        "k": 2.5 + (bits >> 30) % 30 / 10,
        "persistence": 1 + (bits >> 36) % 4,
        "seasonality": {"period_minutes": 10_080, "robust": bool(bits & 512)},
        "min_support": 10 ** (1 + (bits >> 40) % 4),
        "tags": ["prod", "α-test"] if bits & 1024 else [],
    }


def _scheduled(plan: SamplePlan, run: Ints) -> Ints:
    """When each run was due. Run i is run i // detectors of detector i % detectors."""
    detector, slot = run % plan.detectors, run // plan.detectors
    interval = run_interval(plan)
    offset = detector * (interval // (MINUTE * plan.detectors)) * MINUTE
    return REFERENCE_US - (plan.runs_per_detector - slot) * interval + offset


def _started(plan: SamplePlan, run: Ints) -> Ints:
    return _scheduled(plan, run) + picks(plan.seed, "run delay", run, 20 * SECOND)


def run_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `detection_runs`: every third slot may fail, the last of each detector may be queued or running."""
    interval = run_interval(plan)
    for start in range(0, plan.runs, RUNS_IN_BLOCK):
        index = np.arange(start, min(start + RUNS_IN_BLOCK, plan.runs), dtype=np.int64)
        slot = index // plan.detectors
        due, began = _scheduled(plan, index), _started(plan, index)
        ended = began + SECOND + picks(plan.seed, "run seconds", index, 240 * SECOND)
        luck = uniforms(plan.seed, "run luck", index)
        last = slot == plan.runs_per_detector - 1
        failed = ~last & (slot % 3 == 1) & (luck < 0.12)
        status = np.where(failed, "failed", "success")
        status = np.where(last & (luck < 0.6), "running", status)
        status = np.where(last & (luck < 0.3), "queued", status)
        yield [
            (
                run_id,
                detector_id,
                state,
                started_at,
                finished_at if state in ("success", "failed") else None,
                window_from,
                window_to,
                _run_info(state, bits),
            )
            for run_id, detector_id, state, started_at, finished_at, window_from, window_to, bits in zip(
                run_ids(plan, index),
                detector_ids(plan, index % plan.detectors),
                status.tolist(),
                timestamps(began),
                timestamps(ended),
                timestamps(due - interval),
                timestamps(due),
                hashes(plan.seed, "run facts", index).tolist(),
                strict=True,
            )
        ]


def _run_info(state: str, bits: int) -> str | None:
    if state == "queued":
        return None
    if state == "failed":
        error = ("warehouse timeout after 120 s", "too few points for STL", "worker lost: SIGKILL")[bits % 3]
        return f'{{"error":"{error}","attempt":{1 + bits % 3},"retryable":{"true" if bits & 8 else "false"}}}'
    rows = bits % 4_000_000
    return (
        f'{{"rows_scanned":{rows},"cohorts":{bits % 900},"mad":{(bits >> 20) % 10**9 / 10**6},"host":"det-{bits % 7}"}}'
    )


@dataclass(frozen=True)
class _Incident:
    """What the anomalies of a burst have in common."""

    family: str | None
    metrics: tuple[str, ...]
    cohort: str
    place: str
    words: tuple[str, ...]
    runs: tuple[int, ...]
    base: int


def _bursts(plan: SamplePlan, start: int, count: int) -> list[_Incident]:
    """The incident of each of the first three quarters of a block's anomalies: bursts of 8 to 30."""
    random = Random(f"{plan.seed}/bursts/{start}")
    total = 3 * count // 4
    found: list[_Incident] = []
    while len(found) + 8 <= total:
        size = min(random.randint(8, 30), total - len(found))
        name = f"family-{start // ANOMALIES_IN_BLOCK:06d}-{len(found):04d}"
        found += [_incident(plan, random, name)] * size
    return found


def _incidents(plan: SamplePlan, start: int, count: int) -> list[_Incident]:
    """The incident of each anomaly of a block: bursts, then noise that belongs to no family."""
    random = Random(f"{plan.seed}/noise/{start}")
    bursts = _bursts(plan, start, count)
    return bursts + [_incident(plan, random, None) for _ in range(count - len(bursts))]


def _incident(plan: SamplePlan, random: Random, family: str | None) -> _Incident:
    fields = sorted(random.sample(tuple(_COHORTS), 3 if family else random.randint(1, 3)))
    # Runs of failed slots (1 modulo 3) and the newest slot found nothing.
    slot = 3 * random.randrange(max(1, (plan.runs_per_detector - 1) // 3))
    cohort = {field: random.choice(_COHORTS[field]) for field in fields}
    return _Incident(
        family=family,
        metrics=tuple(random.sample(_METRICS, 2 if family else 1)),
        cohort=dumps(cohort),
        place=", ".join(cohort.values()),
        words=tuple(random.sample(_WORDS, 3)),
        runs=tuple(slot * plan.detectors + random.randrange(plan.detectors) for _ in range(2)),
        base=random.randint(10, 100_000),
    )


def incident_families(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of (anomaly id, family) for the anomalies that belong to an incident family."""
    for start in range(0, plan.anomalies, ANOMALIES_IN_BLOCK):
        index = np.arange(start, min(start + ANOMALIES_IN_BLOCK, plan.anomalies), dtype=np.int64)
        bursts = _bursts(plan, start, len(index))
        ids = anomaly_ids(plan, index[: len(bursts)])
        yield [(anomaly_id, incident.family) for anomaly_id, incident in zip(ids, bursts, strict=True)]


def anomaly_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `anomaly_events`."""
    for start in range(0, plan.anomalies, ANOMALIES_IN_BLOCK):
        index = np.arange(start, min(start + ANOMALIES_IN_BLOCK, plan.anomalies), dtype=np.int64)
        incidents = _incidents(plan, start, len(index))
        bits = hashes(plan.seed, "anomaly facts", index).tolist()
        runs = np.array([incident.runs[own % 2] for incident, own in zip(incidents, bits, strict=True)], dtype=np.int64)
        due = _scheduled(plan, runs)
        ended = (
            due - picks(plan.seed, "anomaly window", index, max(1, run_interval(plan) // (15 * MINUTE))) * 15 * MINUTE
        )
        created = _started(plan, runs) + SECOND + picks(plan.seed, "anomaly created", index, 60 * SECOND)
        scores = fraud_scores(plan.seed, "anomaly score", index)
        # Investigations ascend with time, so the one opened after an anomaly follows from its time.
        span = (created - (REFERENCE_US - HISTORY_US)) / (HISTORY_US - 8 * DAY)
        case = np.clip((span * plan.investigations).astype(np.int64) + 2, 0, plan.investigations - 1)
        yield [
            (
                anomaly_id,
                run_id,
                detector_id,
                investigation_id if own % 10 < 3 else None,
                incident.cohort,
                window_start,
                window_end,
                incident.metrics[(own >> 8) % len(incident.metrics)],
                *_numbers(incident, own, score),
                repr(score),
                "critical" if score > 0.85 else "warn" if score > 0.4 else "info",
                ("closed", "closed", "triaged", "new")[(own >> 12) % 4],
                str(1 + (own >> 14) % 6),
                _evidence(incident, own) if own % 50 else None,
                created_at,
            )
            for anomaly_id, run_id, detector_id, investigation_id, incident, own, window_start, window_end, score,
            created_at in zip(
                anomaly_ids(plan, index),
                run_ids(plan, runs),
                detector_ids(plan, runs % plan.detectors),
                plan.investigation_ids(case),
                incidents,
                bits,
                timestamps(ended - 15 * MINUTE),
                timestamps(ended),
                scores.tolist(),
                timestamps(created),
                strict=True,
            )
        ]  # fmt: skip


def _numbers(incident: _Incident, bits: int, score: float) -> tuple[str, str]:
    """Observed and expected as numeric text: some whole, some with 24 digits after the point."""
    expected = incident.base + bits % 97
    observed = expected + int(expected * 4 * score)
    if bits % 5 == 0:
        return str(observed), str(expected)
    return f"{observed}.{bits % 10**18:018d}{bits % 10**6:06d}", f"{expected}.{bits % 10**4:04d}"


def _evidence(incident: _Incident, bits: int) -> str:
    first, second = incident.words[bits % 3], incident.words[(bits + 1) % 3]
    # Written by hand: none of the words needs escaping, and this is a third of the cost of an anomaly.
    return (
        f'{{"summary":"{first} pattern with {second} in {incident.place}","signals":["{first}","{second}"],'
        f'"baseline":{{"median":{(bits >> 20) % 10**6 / 100},"mad":{(bits >> 24) % 10**5 / 1000},'
        f'"points":{bits % 672}}},'
        f'"top_entities":["card_{bits >> 40:06x}","ip_{bits >> 32 & 255}.{bits >> 40 & 255}.0.0/16"],'
        f'"confirmed":{"true" if bits & 1024 == 0 else "false"}}}'
    )
