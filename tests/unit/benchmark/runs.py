"""Benchmark runs made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.benchmark.answers import Difference
from workbench.benchmark.concurrency import Load
from workbench.benchmark.results import BenchmarkRun
from workbench.benchmark.runner import Check, Measurement
from workbench.benchmark.workloads import Side
from workbench.models import COLLECTIONS

NAME = "audit history"


def measured(side: Side, milliseconds: float, *, samples: int = 500, **changes: Any) -> Measurement:
    """Samples that all lie within one per cent of a value."""
    warm = tuple(milliseconds * (1 + (number % 11 - 5) / 500) for number in range(samples))
    return replace(Measurement(NAME, side, warm, (milliseconds * 3,), {}, sum(warm) / 1000), **changes)


def a_run(source: Measurement, target: Measurement, **changes: Any) -> BenchmarkRun:
    """A run of one workload."""
    environment = {
        "machine": {
            "cores": 2, "usable_cores": 2, "processor": "x", "memory_bytes": 2**33, "system": "Linux",
            "architecture": "x86_64",
        },
        "versions": {"postgresql": "18.4", "mongodb": "MongoDB 8.0.17", "psycopg": "3", "pymongo": "4"},
        "sizes": {
            "postgresql": {"detectors": {"bytes": 8192, "index_bytes": {"detectors_pkey": 16384}}},
            "mongodb": {"detectors": {"bytes": None, "index_bytes": {}}},
        },
        "durability": {
            "postgresql": {
                "fsync": "on", "synchronous_commit": "off", "full_page_writes": "on", "shared_buffers": "128MB",
                "work_mem": "4MB",
            },
            "mongodb": {"write_concern": {"w": "majority"}, "storage_engine": None},
        },
        "rows": {spec.source_table: 10 for spec in COLLECTIONS.values()},
        "documents": dict.fromkeys(COLLECTIONS, 10),
        "quarantined": {},
        "indexes": {},
        "settings": {},
    }  # fmt: skip
    run = BenchmarkRun(
        started_at="2026-11-24T10:00:00+00:00",
        mode="quick",
        seed=1,
        elapsed_seconds=12.5,
        asked_samples=len(target.warm_ms),
        limit_seconds=900,
        environment=environment,
        workloads={NAME: {"kind": "indexed query", "question": "Who?", "target_ms": 100.0, "sql": ["SELECT 1"]}},
        checks=(Check(NAME, 2, 30),),
        measurements=(source, target),
        loads=(
            Load(NAME, Side.MONGODB, 4, (1.0,) * 20, 0.5, {"NetworkTimeout": 1}),
            Load(NAME, Side.MONGODB, 64, (), 0.0, {}, note="no connection: too many"),
        ),
    )
    return replace(run, **changes)


WRONG = Check(NAME, 2, 30, Difference("rows", "3", "2"))
