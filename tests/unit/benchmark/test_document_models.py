"""Shapes hold the same items, and the recommendation follows from the figures alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from workbench.benchmark.document_models import (
    BUCKET_ITEMS,
    GROWTH,
    MARGIN,
    Shape,
    ShapeFigures,
    recommend,
    shaped,
)
from workbench.benchmark.shapes import AUDIT, asked_owners
from workbench.models.fields import MAX_DOCUMENT_BYTES, utc_now


def figures(shape: Shape, *, ms: float = 1.0, largest: int = 1_000, **changes: Any) -> ShapeFigures:
    samples = {"one": (ms,) * 20, "two": (ms,) * 20}
    one = ShapeFigures("audit", shape, 10, 10, 1_000, 100, largest, 30, 300, (0.01,), samples)
    return replace(one, **changes)


def items(count: int) -> list[dict[str, Any]]:
    now = utc_now()
    return [
        {"tenant_id": "t", "investigation_id": f"inv-{n % 2}", "timestamp": now, "entry_id": f"e{n:04d}"}
        for n in range(count)
    ]


def test_every_shape_holds_every_item_once() -> None:
    given = items(2 * BUCKET_ITEMS + 60)
    expected = sorted(item["entry_id"] for item in given)
    reference = shaped(AUDIT, Shape.REFERENCE, given)
    assert reference == given
    for shape, documents in ((Shape.BUCKET, 4), (Shape.EMBED, 2)):
        made = shaped(AUDIT, shape, given)
        assert len(made) == documents
        assert sorted(inner["entry_id"] for document in made for inner in document["items"]) == expected
        assert all(document["count"] == len(document["items"]) for document in made)
        assert all("tenant_id" not in inner for document in made for inner in document["items"])
    assert max(document["count"] for document in shaped(AUDIT, Shape.BUCKET, given)) == BUCKET_ITEMS


def test_each_owner_is_asked_about_once_with_its_own_week() -> None:
    owners = asked_owners(items(10), AUDIT)
    assert [owner["investigation_id"] for owner in owners] == ["inv-0", "inv-1"]
    assert all((owner["to"] - owner["from"]).days == 7 for owner in owners)


def test_the_lowest_cost_wins() -> None:
    found = recommend([figures(Shape.REFERENCE, ms=4), figures(Shape.BUCKET, ms=2), figures(Shape.EMBED, ms=1)])
    assert found.shape is Shape.EMBED
    assert found.costs[Shape.EMBED] == pytest.approx(1)
    assert found.costs[Shape.REFERENCE] == pytest.approx(4 ** (2 / 5))


def test_a_simpler_shape_within_the_margin_wins() -> None:
    near = (1 + MARGIN * 0.9) ** 2.5
    found = recommend([figures(Shape.REFERENCE, ms=near), figures(Shape.EMBED, ms=1)])
    assert found.shape is Shape.REFERENCE
    assert "within 10% of the lowest and simpler" in str(found)
    assert recommend([figures(Shape.REFERENCE, ms=near * 1.1), figures(Shape.EMBED)]).shape is Shape.EMBED


def test_the_sizes_of_indexes_and_the_load_rate_count() -> None:
    small = [figures(Shape.REFERENCE, index_bytes=3_000), figures(Shape.BUCKET)]
    assert recommend(small).shape is Shape.BUCKET
    unknown = [figures(Shape.REFERENCE, index_bytes=None), figures(Shape.BUCKET, index_keys=3)]
    assert recommend(unknown).shape is Shape.BUCKET
    slow = [figures(Shape.REFERENCE, load_seconds=(0.1, 0.1, 5.0)), figures(Shape.BUCKET)]
    found = recommend(slow)
    assert found.shape is Shape.BUCKET
    assert found.costs[Shape.REFERENCE] == pytest.approx(10 ** (1 / 5))
    assert "(size, index size, load time, one, two)" in str(found)


def test_a_choice_that_the_spread_of_the_latencies_could_turn_is_not_settled() -> None:
    clear = recommend([figures(Shape.REFERENCE, ms=9), figures(Shape.BUCKET, ms=1)])
    assert (clear.certainty, clear.settled) == (1, True)
    noisy = {"one": tuple(float(n % 9 + 1) for n in range(20)), "two": (1.2,) * 20}
    found = recommend([figures(Shape.REFERENCE, samples_ms=noisy), figures(Shape.BUCKET, ms=1.9)])
    assert 0 < found.certainty < 0.95
    assert str(found).endswith("That does not settle it: take more samples.")


def test_a_shape_whose_document_grows_with_its_case_is_out_however_fast() -> None:
    huge = MAX_DOCUMENT_BYTES // GROWTH + 1
    found = recommend([figures(Shape.REFERENCE, ms=50), figures(Shape.EMBED, largest=huge)])
    assert found.shape is Shape.REFERENCE
    assert found.costs[Shape.EMBED] is None
    assert "embed is out" in str(found)


def test_large_documents_that_do_not_grow_stay() -> None:
    large = MAX_DOCUMENT_BYTES // 2
    found = recommend([figures(shape, largest=large) for shape in Shape])
    assert found.shape is Shape.REFERENCE
    assert found.costs[Shape.BUCKET] == pytest.approx(1)
    with pytest.raises(ValueError, match="no shape holds the items"):
        recommend([figures(shape, largest=MAX_DOCUMENT_BYTES + 1) for shape in Shape])
