"""The embedder: determinism, unit length, likeness, and the way to BSON and back."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from bson import Decimal128, decode, encode
from bson.binary import Binary, BinaryVectorDtype

from workbench.errors import ConfigurationError
from workbench.settings import Settings
from workbench.similarity.embedder import (
    MiniLMEmbedder,
    StructureHashEmbedder,
    embedder_for,
    from_binary,
    to_binary,
)

EVENT: dict[str, Any] = {
    "metric": "decline_rate",
    "cohort": {"country": "BR", "channel": "web"},
    "observed": Decimal("140.5"),
    "expected": Decimal("20"),
    "score": 0.93,
    "severity": "critical",
    "evidence": {"signals": ["card testing", "proxy farm"], "baseline": {"points": 12}},
}


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def likeness(one: dict[str, Any], other: dict[str, Any]) -> float:
    first, second = StructureHashEmbedder().embed([one, other])
    return float(first @ second)


def test_vectors_have_the_documented_shape_and_unit_length() -> None:
    vectors = StructureHashEmbedder().embed([EVENT, {}, {"metric": "tx_count"}])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_events_give_no_rows() -> None:
    assert StructureHashEmbedder().embed([]).shape == (0, 384)


def test_an_event_has_the_same_vector_whatever_its_batch() -> None:
    other = {**EVENT, "metric": "refund_rate"}
    alone = StructureHashEmbedder().embed([EVENT])[0]
    np.testing.assert_array_equal(StructureHashEmbedder().embed([other, EVENT, {}])[1], alone)


def test_the_vector_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = (
        "from workbench.similarity.embedder import StructureHashEmbedder, to_binary;"
        "import hashlib;"
        "v = StructureHashEmbedder().embed([{'metric': 'm', 'cohort': {'b': 'x', 'a': 'y'}, 'evidence': ['one two']}]);"
        "print(hashlib.sha256(to_binary(v)[0]).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_order_of_cohort_keys_means_nothing() -> None:
    assert likeness(EVENT, {**EVENT, "cohort": {"channel": "web", "country": "BR"}}) == pytest.approx(1, abs=1e-6)


def test_what_shares_more_is_more_alike() -> None:
    same_cohort = likeness(EVENT, {**EVENT, "metric": "refund_rate"})
    other_cohort = likeness(EVENT, {**EVENT, "cohort": {"country": "DE", "channel": "pos"}})
    nothing = likeness(EVENT, {"metric": "signup_rate", "cohort": {"issuer": "Nordbank Ö"}})
    assert 1 > same_cohort > other_cohort > nothing


def test_direction_of_the_deviation_counts() -> None:
    down = {**EVENT, "observed": Decimal("1"), "expected": Decimal("20")}
    up = {**EVENT, "observed": Decimal("39"), "expected": Decimal("20")}
    assert likeness(EVENT, up) > likeness(EVENT, down)


@pytest.mark.parametrize(
    "odd",
    [
        {"observed": Decimal("NaN"), "expected": Decimal("1")},
        {"observed": Decimal("Infinity"), "expected": Decimal("1")},
        {"observed": Decimal("sNaN"), "expected": Decimal("1")},
        {"observed": Decimal128("1E+6000"), "expected": Decimal128("0")},
        {"observed": Decimal("1e300"), "expected": Decimal("0")},
        {"evidence": "just \ud800 text"},
        {"evidence": [[[[None, True, 1.5]]]]},
        {"evidence": {"deep": ["w" * 100_000] * 10}},
        {"cohort": None, "evidence": None, "metric": "東"},
    ],
    ids=str,
)
def test_odd_values_still_give_a_finite_unit_vector(odd: dict[str, Any]) -> None:
    vector = StructureHashEmbedder().embed([{**EVENT, **odd}])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_very_deep_evidence_does_not_overflow_the_stack() -> None:
    deep: Any = "word"
    for _ in range(100_000):
        deep = [deep]
    assert StructureHashEmbedder().embed([{"evidence": deep}]).shape == (1, 384)
    while isinstance(deep, list):  # freed step by step: the interpreter's own way recurses
        deep = deep.pop()


def test_binary_is_what_the_driver_makes_and_survives_bson() -> None:
    vectors = StructureHashEmbedder().embed([EVENT, {}])
    binaries = to_binary(vectors)
    assert binaries[0] == Binary.from_vector(vectors[0].tolist(), BinaryVectorDtype.FLOAT32)
    stored = [decode(encode({"v": binary}))["v"] for binary in binaries]
    np.testing.assert_array_equal(from_binary(stored), vectors)


def test_from_binary_of_nothing_and_of_what_is_no_float32_vector() -> None:
    assert from_binary([]).size == 0
    with pytest.raises(ValueError, match="float32"):
        from_binary([b"\x03\x00abcd"])
    with pytest.raises(ValueError, match="dimensions"):
        from_binary([b"\x27\x00" + bytes(8), b"\x27\x00" + bytes(12)])


def test_settings_choose_the_embedder_and_its_dimensions() -> None:
    embedder = embedder_for(settings(vector_dimensions=64))
    assert (embedder.name, embedder.dimensions) == ("structure-hash@1/64", 64)
    assert embedder.embed([EVENT]).shape == (1, 64)


def test_minilm_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"\[embeddings\]"):
        embedder_for(settings(embedding_model="minilm"))


def test_minilm_has_one_number_of_dimensions() -> None:
    with pytest.raises(ConfigurationError, match="WORKBENCH_VECTOR_DIMENSIONS is 64"):
        embedder_for(settings(embedding_model="minilm", vector_dimensions=64))
    assert MiniLMEmbedder.dimensions == 384
