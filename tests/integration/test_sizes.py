"""Sizes before and after a migration."""

from __future__ import annotations

import pytest

from workbench import connections
from workbench.migration import frames
from workbench.settings import Settings


@pytest.mark.parametrize("seconds", [10.0, 1e-6])
def test_sizes_are_shown_and_left_out_where_the_target_needs_too_long(
    migrated_settings: Settings, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "_SIZE_SECONDS", seconds)
    with connections.open_source(migrated_settings) as source, connections.open_target(migrated_settings) as client:
        sizes = frames.sizes(source, client[migrated_settings.mongodb_database])
    assert (sizes.before > 0).all()
    assert sizes.after.isna().all() if seconds < 1 else (sizes.after > 0).all()
