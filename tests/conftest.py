"""Real servers for all tests: the user's own where the URIs are set, else embedded ones for the session.

`settings` is for a test that only reads the sample data; `fresh_settings` gives each test its own copy of the source
database and its own empty target database. Both are dropped afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymongo.monitoring
import pytest
from psycopg import sql
from pydantic import SecretStr

from tests.small_source import shrink
from tests.strict_mongodb import StrictMongoDB
from workbench import connections, embedded, sample
from workbench.migration.executors import this_process
from workbench.migration.pipeline import migrate
from workbench.settings import Settings

LISTENER = StrictMongoDB()
pymongo.monitoring.register(LISTENER)


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes that tests interrupt hear Ctrl-C, also where a shell runs pytest in the background.

    And keep files apart from those of other sessions: pytest closes the folder that all of them share to other users
    when it starts, such as the one that PostgreSQL runs as where root starts it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder = tempfile.mkdtemp(prefix="wb-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the long form of the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--run-slow"):
        deselected = [item for item in items if "slow" in item.keywords]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "slow" not in item.keywords]


@pytest.fixture(scope="session", autouse=True)
def strict_mongodb_to_the_end() -> Iterator[None]:
    """Set up before all other fixtures of the session, so that it judges also what they send when they end."""
    yield
    assert not LISTENER.violations, "a real MongoDB refuses: " + "; ".join(LISTENER.violations[:5])


@pytest.fixture(autouse=True)
def strict_mongodb() -> Iterator[StrictMongoDB]:
    """Fail the test whose commands a real MongoDB would have refused, or those of its fixtures of wider scope."""
    yield LISTENER
    found = LISTENER.violations[:]
    LISTENER.violations.clear()
    assert not found, "a real MongoDB refuses: " + "; ".join(found[:5])


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings that reach both servers, with the database names still the servers' own."""
    data_dir = tmp_path_factory.mktemp("servers")
    started = not (os.environ.get("WORKBENCH_DATABASE_URL") and os.environ.get("WORKBENCH_MONGODB_URI"))
    own = Settings(_env_file=None, data_dir=data_dir)
    if started:
        endpoints = embedded.start(data_dir)
        own = own.model_copy(
            update={
                "database_url": own.database_url or SecretStr(endpoints.source_uri),
                "mongodb_uri": own.mongodb_uri or SecretStr(endpoints.target_uri),
            }
        )
    base = tmp_path_factory.mktemp("files")
    yield own.model_copy(update={"workers": 1, "reports_dir": base / "reports", "workspace_dir": base / "workspace"})
    if started:
        embedded.stop(data_dir)


@pytest.fixture(scope="session")
def source_template(servers: Settings) -> Iterator[Settings]:
    """A source database filled with the clean sample at scale 1; never written to."""
    with source_database(servers, template=None) as settings:
        with connections.open_source(settings) as connection:
            sample.create_schema(connection)
            sample.fill(connection)
        yield settings


@pytest.fixture(scope="session")
def settings(source_template: Settings) -> Iterator[Settings]:
    """The filled source and an empty target database shared by the session."""
    with target_database(source_template) as own:
        yield own


@pytest.fixture
def fresh_settings(source_template: Settings) -> Iterator[Settings]:
    """A copy of the filled source and an empty target database for one test."""
    with source_database(source_template, template=source_template) as own, target_database(own) as both:
        yield both


@pytest.fixture(scope="session")
def small_template(source_template: Settings) -> Iterator[Settings]:
    """A source database with about 3,000 rows of the sample, consistent in itself; never written to."""
    with source_database(source_template, template=source_template) as settings:
        with connections.open_source(settings) as connection:
            shrink(connection)
        yield settings


@pytest.fixture
def small_settings(small_template: Settings) -> Iterator[Settings]:
    """A copy of the small source, cut into small partitions, and an empty target database for one test."""
    with source_database(small_template, template=small_template) as own, target_database(own) as both:
        yield both.model_copy(update={"partition_rows": 200, "batch_rows": 60})


@pytest.fixture
def empty_settings(servers: Settings) -> Iterator[Settings]:
    """An empty source database and an empty target database for one test."""
    with source_database(servers, template=None) as own, target_database(own) as both:
        yield both


class source_database:
    """A scratch PostgreSQL database, made from a template and dropped at the end."""

    def __init__(self, base: Settings, template: Settings | None) -> None:
        self._base, self._template = base, template
        self._name = f"workbench_test_{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> Settings:
        template = _database_name(self._template) if self._template else "template1"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(self._name), sql.Identifier(template))
        )
        return self._base.model_copy(update={"database_url": SecretStr(_with_database(self._base, self._name))})

    def __exit__(self, *_: object) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(_with_database(self._base, "postgres"), autocommit=True) as connection:
            connection.execute(statement)


class target_database:
    """A scratch MongoDB database, dropped at the end."""

    def __init__(self, base: Settings) -> None:
        self._settings = base.model_copy(update={"mongodb_database": f"workbench_test_{uuid.uuid4().hex[:12]}"})

    def __enter__(self) -> Settings:
        return self._settings

    def __exit__(self, *_: object) -> None:
        with connections.open_target(self._settings, bulk=True) as client:
            client.drop_database(self._settings.mongodb_database)


def _uri(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


def _database_name(settings: Settings) -> str:
    return urlsplit(_uri(settings)).path.removeprefix("/")


def _with_database(settings: Settings, name: str) -> str:
    return urlunsplit(urlsplit(_uri(settings))._replace(path=f"/{name}"))


@pytest.fixture
def repository_root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def migrated_settings(small_template: Settings) -> Iterator[Settings]:
    """The small source and a target that it was migrated into; for tests that do not change the data."""
    with target_database(small_template) as settings:
        assert migrate(settings, executor=this_process).complete
        yield settings
