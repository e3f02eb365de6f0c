"""Before and after an index: the same question to a copy of the data without it, and with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from psycopg import sql

from workbench.benchmark.draws import Draws
from workbench.benchmark.sessions import SourceSession, TargetSession, both_sessions
from workbench.benchmark.workloads import Side
from workbench.benchmark.workloads.base import SCRATCH, scratch_name
from workbench.settings import Settings

Json: TypeAlias = dict[str, Any]
COPY = "index_effect"
QUESTION = "the ten riskiest transactions of an investigation"


@dataclass(frozen=True)
class IndexEffect:
    """What an index changed on one database: samples in milliseconds without and with it."""

    side: Side
    question: str
    index: str
    rows: int
    before_ms: tuple[float, ...]
    after_ms: tuple[float, ...]
    build_seconds: float

    def as_dict(self) -> Json:
        """JSON types."""
        return {**asdict(self), "side": str(self.side)}


def measure_index_effect(
    settings: Settings, draws: Draws, *, rows: int = 5_000, samples: int = 20
) -> tuple[IndexEffect, IndexEffect]:
    """The effect of the index behind "top risky transactions" on both databases.

    Works on copies of about `rows` scores of drawn investigations, inside `scratch`, which drops them.
    """
    drawn = {row["investigation_id"]: row for row in draws.rows("score")}
    investigations = list(drawn.values())
    with both_sessions(settings) as (source, target):
        return (
            _on_source(source, settings, investigations, rows, samples),
            _on_target(target, investigations, rows, samples),
        )


def _on_source(session: SourceSession, settings: Settings, asked: list[Json], rows: int, samples: int) -> IndexEffect:
    connection = session.connection
    copy = sql.Identifier(SCRATCH, COPY)
    origin = sql.Identifier(settings.source_schema, "transaction_scores")
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(copy))
    connection.execute(
        sql.SQL("CREATE TABLE {} AS SELECT * FROM {} WHERE investigation_id = ANY(%s) LIMIT {}").format(
            copy, origin, rows
        ),
        [[case["investigation_id"] for case in asked]],
    )
    counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(copy)).fetchall()[0][0]
    connection.execute(sql.SQL("ANALYZE {}").format(copy))
    query = sql.SQL(
        "SELECT transaction_id, risk_score FROM {} WHERE investigation_id = %s ORDER BY risk_score DESC LIMIT 10"
    ).format(copy)

    def ask(parameters: Json) -> None:
        connection.execute(query, [parameters["investigation_id"]]).fetchall()

    before = _samples(ask, asked[:samples])
    started = time.perf_counter()
    connection.execute(sql.SQL("CREATE INDEX ON {} (investigation_id, risk_score DESC)").format(copy))
    built = time.perf_counter() - started
    return IndexEffect(
        Side.POSTGRESQL,
        QUESTION,
        "investigation_id, risk_score DESC",
        counted,
        before,
        _samples(ask, asked[:samples]),
        built,
    )


def _on_target(session: TargetSession, asked: list[Json], rows: int, samples: int) -> IndexEffect:
    copy = session.database[scratch_name(COPY)]
    copy.drop()
    origin = session.database["transaction_scores"]
    documents: list[Json] = []
    for case in asked:
        if len(documents) < rows:
            documents += origin.find(_case(case))
    if documents:
        copy.insert_many(documents[:rows], ordered=False)

    def ask(parameters: Json) -> None:
        list(copy.find(_case(parameters)).sort([("risk_score", -1)]).limit(10))

    before = _samples(ask, asked[:samples])
    keys = [("tenant_id", 1), ("investigation_id", 1), ("risk_score", -1)]
    started = time.perf_counter()
    copy.create_index(keys)
    built = time.perf_counter() - started
    named = ", ".join(f"{path} {direction}" for path, direction in keys)
    return IndexEffect(
        Side.MONGODB, QUESTION, named, len(documents[:rows]), before, _samples(ask, asked[:samples]), built
    )


def _case(parameters: Json) -> Json:
    return {"tenant_id": parameters["tenant_id"], "investigation_id": parameters["investigation_id"]}


def _samples(ask: Callable[[Json], None], asked: list[Json]) -> tuple[float, ...]:
    ask(asked[0])
    found = []
    for parameters in asked:
        started = time.perf_counter()
        ask(parameters)
        found.append((time.perf_counter() - started) * 1000)
    return tuple(found)
