"""Repeatable values: the same for an index alone or among others, and in the promised range."""

from __future__ import annotations

from uuid import UUID

import numpy as np

from workbench.sample.values import dumps, fraud_scores, hashes, picks, timestamps, uniforms, uuids, zipf_picks

MANY = np.arange(20_000)


def test_a_value_depends_on_its_index_only() -> None:
    assert hashes(7, "a", MANY)[4_321] == hashes(7, "a", 4_321)[0]
    assert uuids(7, "a", MANY)[99] == uuids(7, "a", 99)[0]


def test_seed_and_name_give_independent_series() -> None:
    series = [uniforms(seed, name, MANY) for seed, name in ((1, "a"), (2, "a"), (1, "b"))]
    for one in series:
        for other in series:
            expected = 1.0 if one is other else 0.0
            assert abs(np.corrcoef(one, other)[0, 1] - expected) < 0.03


def test_uniforms_and_picks_fill_their_range_evenly() -> None:
    values = uniforms(3, "u", MANY)
    assert 0 <= values.min() < 0.001
    assert 0.999 < values.max() < 1
    counts = np.bincount(picks(3, "p", MANY, 10), minlength=10)
    assert counts.min() > 1_800
    assert counts.max() < 2_200


def test_zipf_picks_prefer_small_numbers() -> None:
    counts = np.bincount(zipf_picks(3, "z", MANY, 50), minlength=50)
    assert len(counts) == 50
    assert counts[0] > 5 * counts[10] > 0


def test_uuids_are_version_4_and_unique() -> None:
    texts = uuids(5, "id", MANY)
    assert len(set(texts)) == len(texts)
    assert {UUID(text).version for text in texts[:500]} == {4}
    assert str(UUID(texts[0])) == texts[0]


def test_timestamps_keep_microseconds() -> None:
    assert timestamps([0, 1_700_000_000_123_456]) == ["1970-01-01T00:00:00.000000", "2023-11-14T22:13:20.123456"]


def test_fraud_scores_have_their_mass_near_0_and_a_hump_near_0_9() -> None:
    scores = fraud_scores(11, "s", MANY)
    assert scores.min() >= 0
    assert scores.max() < 1
    share, _ = np.histogram(scores, bins=[0, 0.2, 0.4, 0.6, 0.78, 1.0])
    assert share[0] > 0.5 * len(scores)
    assert share[4] > 2 * share[3]


def test_json_is_compact_and_keeps_unicode() -> None:
    assert dumps({"ä": [1, None, 0.5]}) == '{"ä":[1,null,0.5]}'
