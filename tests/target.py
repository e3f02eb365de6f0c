"""A target database of its own with all collections and indexes, for tests that need no source."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from workbench import connections, schema
from workbench.settings import Settings


@contextlib.contextmanager
def prepared_target(servers: Settings) -> Iterator[Settings]:
    """Settings that reach a new database with the whole schema; it is dropped at the end."""
    settings = servers.model_copy(update={"mongodb_database": f"workbench_test_{uuid.uuid4().hex[:12]}"})
    with connections.open_target(settings) as client:
        database = client[settings.mongodb_database]
        schema.apply(database, schema.plan(database, settings))
        yield settings
        client.drop_database(settings.mongodb_database)
