"""A small source without bad rows and its migrated target, for the tests of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import source_database, target_database
from workbench import connections
from workbench.benchmark.draws import Draws
from workbench.migration import pipeline
from workbench.migration.executors import this_process
from workbench.settings import Settings

SEED = 5


@pytest.fixture(scope="session")
def migrated(small_template: Settings) -> Iterator[Settings]:
    """A small source without bad rows, and the target that it was migrated to."""
    with source_database(small_template, template=small_template) as own, target_database(own) as settings:
        with connections.open_source(settings) as connection:
            connection.execute("UPDATE investigation_audit_log SET changes_json = '{}' WHERE changes_json = '{'")
            connection.execute(
                "UPDATE anomaly_events SET investigation_id = (SELECT investigation_id FROM investigation_states s "
                "ORDER BY md5(s.investigation_id || anomaly_events.id::text) LIMIT 1) "
                "WHERE get_byte(uuid_send(id), 0) < 80"
            )
            connection.commit()
            connection.autocommit = True
            connection.execute("ANALYZE")
        assert pipeline.migrate(settings, executor=this_process).counts.quarantined == 0
        yield settings


@pytest.fixture(scope="session")
def draws(migrated: Settings) -> Draws:
    with connections.open_source(migrated) as connection:
        return Draws(connection, migrated, seed=SEED)
