"""What a hit says: its cosine on one scale, and the reason."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.similarity.search import Reason, cosine_of_score, shared


@pytest.mark.parametrize("cosine", [-1.0, -0.2, 0.0, 0.7, 1.0])
def test_scores_of_all_similarities_become_the_cosine(cosine: float) -> None:
    one, other = np.array([1.0, 0.0]), np.array([cosine, (1 - cosine**2) ** 0.5])
    distance = float(((one - other) ** 2).sum())
    assert cosine_of_score((1 + cosine) / 2, "cosine") == pytest.approx(cosine)
    assert cosine_of_score((1 + cosine) / 2, "dotProduct") == pytest.approx(cosine)
    assert cosine_of_score(1 / (1 + distance), "euclidean") == pytest.approx(cosine)


def test_the_reason_names_metric_cohort_and_words() -> None:
    one = {"metric": "m", "cohort": {"country": "BR", "channel": "web"}, "evidence": {"s": "proxy farm in BR with me"}}
    other = {"metric": "m", "cohort": {"country": "BR", "channel": "ios"}, "evidence": ["a Proxy FARM in BR with you"]}
    reason = shared(one, other)
    assert reason == Reason("m", ("country BR",), ("proxy", "farm"))
    assert str(reason) == "metric m; cohort country BR; evidence proxy, farm"


def test_with_nothing_in_common_only_the_structure_is_left() -> None:
    assert str(shared({"metric": "a"}, {"metric": "b"})) == "structure only"
    assert str(shared({}, {})) == "structure only"
