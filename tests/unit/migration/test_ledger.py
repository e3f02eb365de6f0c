"""The account: counts add up, and a run is only as complete as its tables."""

from __future__ import annotations

import pytest

from workbench.migration.ledger import Counts, Seconds, State
from workbench.migration.results import MigrationResult, TableResult


def test_counts_add_and_balance() -> None:
    first, second = Counts(10, 5, 1, 3, 1), Counts(4, 0, 0, 4, 0)
    assert first.balanced
    assert first.written == 6
    assert first + second == Counts(14, 5, 1, 7, 1)
    assert sum([first, second], Counts()) == first + second
    assert not Counts(read=2, inserted=1).balanced
    assert Counts.of({"read": 3, "inserted": 3, "more": 1}) == Counts(3, 3)
    assert Counts.of(None) == Counts()
    assert Seconds(1, 2, 3) + Seconds(0.5, 0, 1) == Seconds(1.5, 2, 4)


def table(**changes: object) -> TableResult:
    facts = {"source_rows": 3, "counts": Counts(3, 3), "partitions": 1, "done": 1, **changes}
    return TableResult("detectors", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"done": 0}, {"source_rows": 4}, {"counts": Counts(3, 2)}, {"errors": ["PostgreSQL: permission denied"]}],
)
def test_a_table_is_complete_only_if_everything_agrees(changes: dict[str, object]) -> None:
    assert table().complete
    assert not table(**changes).complete


def test_results_survive_the_ledger() -> None:
    result = table(errors=["x"], retries=2, seconds=Seconds(1, 2, 3))
    assert TableResult.from_dict(result.as_dict()) == result


@pytest.mark.parametrize(
    ("tables", "state"),
    [
        ([table()], State.DONE),
        ([table(), table(done=0)], State.FAILED),
        ([table(), table(done=0, paused=True)], State.PAUSED),
    ],
)
def test_the_state_of_a_run(tables: list[TableResult], state: State) -> None:
    result = MigrationResult("run", False, {str(n): each for n, each in enumerate(tables)}, 1.0, 0.5, 0.5)
    assert result.state is state
    assert result.counts == sum((each.counts for each in tables), Counts())
