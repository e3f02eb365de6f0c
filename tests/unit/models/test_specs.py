"""Rules that hold for the spec of every collection."""

from __future__ import annotations

import pytest

from workbench.models import COLLECTIONS
from workbench.models.spec import Kind


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_unique_index_begins_with_the_shard_key(name: str) -> None:
    """A sharded collection refuses any other unique index, but the one of `_id`."""
    spec = COLLECTIONS[name]
    unique = [index for index in spec.indexes if index.unique]
    assert unique or spec.kind is Kind.TIME_SERIES
    for index in unique:
        assert index.keys[: len(spec.shard_key)] == spec.shard_key, index.name


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_shard_key_begins_with_the_tenant(name: str) -> None:
    spec = COLLECTIONS[name]
    assert spec.shard_key[0] == (spec.tenant_path, 1)
