"""What an investigation resembles, from the answers of a search."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from tests.documents import START
from workbench.explorer.question import Question
from workbench.explorer.similar import HITS_A_SEED, similar_parts
from workbench.similarity.search import Hit, Method, Reason, SimilarResult

OWN, ELSEWHERE = "inv-own", "inv-else"
SPACE = UUID(int=7)


def hit(number: int, investigation_id: str) -> Hit:
    event = {"severity": "warn", "metric": "m", "investigation_id": investigation_id, "created_at": START}
    return Hit(uuid5(SPACE, str(number)), 1 - number / 1_000, Reason("m", (), ()), event)


class Nearest:
    """Answers every search with the same hits, nearest first."""

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = hits

    async def to_event(self, tenant_id: str, anomaly_id: UUID, *, limit: int) -> SimilarResult:
        return SimilarResult(tuple(self.hits[:limit]), Method.EXACT, len(self.hits), 0.01)


async def to_end(operation: Coroutine[Any, Any, Any]) -> Any:
    return await operation


async def test_its_own_anomalies_do_not_crowd_out_those_of_others() -> None:
    own = [hit(number, OWN) for number in range(3 * HITS_A_SEED)]
    others = [hit(100 + number, f"{ELSEWHERE}-{number}") for number in range(5)]
    asked: list[Question] = []

    async def rows(question: Question) -> list[dict[str, Any]]:
        asked.append(question)
        return [
            {"investigation_id": name, "status": "COMPLETED", "created_at": START - timedelta(days=1)}
            for name in question.filter["investigation_id"]["$in"]
            if not name.endswith("-3")  # of another time, or another tenant
        ]

    reader: Any = SimpleNamespace(similarity=Nearest([*own, *others]), to_end=to_end, rows=rows)
    seeds = [{"tenant_id": "acme", "anomaly_id": found.anomaly_id, "score": found.score} for found in own]
    alike, investigations = await similar_parts(reader, "acme", {"investigation_id": OWN, "created_at": START}, seeds)
    assert len(alike.frame) == 5
    assert investigations.frame["investigation"].tolist() == [f"{ELSEWHERE}-{number}" for number in (0, 1, 2, 4)]
    assert set(investigations.frame["status"]) == {"COMPLETED"}
    (question,) = asked
    assert question.tenants == ("acme",)
    assert question.filter["created_at"] == {"$lt": START}
