"""Vectors in groups and on a plane."""

from __future__ import annotations

import numpy as np

from workbench.explorer.groups import commonest, groups, plane


def cloud(seed: int = 1) -> np.ndarray:
    """Three tight clusters of 12, 7 and 4 unit vectors, and five that are far from everything."""
    random = np.random.default_rng(seed)
    axes = np.eye(32)
    parts = [axes[i] + random.normal(0, 0.03, (n, 32)) for i, n in enumerate((12, 7, 4))]
    found = np.concatenate([*parts, axes[10:15]])
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_clusters_are_found_largest_first_and_loners_are_in_none() -> None:
    found = groups(cloud())
    assert found.tolist() == [0] * 12 + [1] * 7 + [2] * 4 + [-1] * 5


def test_the_smallest_size_of_a_group_counts() -> None:
    assert set(groups(cloud(), least=5).tolist()) == {0, 1, -1}


def test_no_vectors_are_in_no_groups_and_have_no_plane() -> None:
    empty = np.empty((0, 8), dtype=np.float32)
    assert groups(empty).shape == (0,)
    assert plane(empty).shape == (0, 2)


def test_the_plane_keeps_clusters_apart_and_is_the_same_each_time() -> None:
    vectors = cloud()
    points = plane(vectors)
    assert points.shape == (28, 2)
    centres = [points[:12].mean(axis=0), points[12:19].mean(axis=0)]
    spread = max(points[:12].std(axis=0).max(), points[12:19].std(axis=0).max())
    assert np.linalg.norm(centres[0] - centres[1]) > 5 * spread
    np.testing.assert_array_equal(points, plane(vectors.copy()))


def test_the_plane_has_the_two_largest_variances() -> None:
    random = np.random.default_rng(2)
    data = (random.normal(size=(200, 6)) * [1, 5, 0.1, 3, 0.1, 0.1]).astype(np.float32)
    variances = plane(data).var(axis=0)
    expected = np.sort(np.linalg.eigvalsh(np.cov(data.T, bias=True)))[::-1][:2]
    np.testing.assert_allclose(variances, expected, rtol=1e-3)


def test_the_commonest_value() -> None:
    assert commonest(["b", "a", "b", "a", "c"]) == "a"
    assert commonest([]) is None
