"""Data that several of these tests only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cases import explored_target
from workbench.settings import Settings


@pytest.fixture(scope="session")
def explored(servers: Settings) -> Iterator[Settings]:
    """A target with the documents of `tests.cases`."""
    with explored_target(servers) as settings:
        yield settings
