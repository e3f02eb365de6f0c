"""The command line as a user meets it: one clear message and the right exit code for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import connections
from workbench.settings import Settings

WORKBENCH = str(Path(sys.executable).with_name("workbench"))


def run(
    *arguments: str, cwd: Path, settings: Settings | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WORKBENCH_", "COV_"))}
    environment |= {"WORKBENCH_SERVER_SELECTION_TIMEOUT_SECONDS": "2", "WORKBENCH_WORKERS": "1"}
    if settings is not None:
        assert settings.database_url
        assert settings.mongodb_uri
        environment["WORKBENCH_DATABASE_URL"] = settings.database_url.get_secret_value()
        environment["WORKBENCH_MONGODB_URI"] = settings.mongodb_uri.get_secret_value()
        environment["WORKBENCH_MONGODB_DATABASE"] = settings.mongodb_database
    return subprocess.run(
        [WORKBENCH, *arguments], capture_output=True, text=True, cwd=cwd, env=environment | variables, timeout=120
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def test_a_wrong_scheme_is_a_matter_of_configuration(project: Path) -> None:
    done = run("migrate", cwd=project, WORKBENCH_MONGODB_URI="http://user:hunter2@host/")
    assert done.returncode == 2
    assert "WORKBENCH_MONGODB_URI" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_server_that_is_not_there(project: Path, servers: Settings) -> None:
    done = run("migrate", cwd=project, settings=servers, WORKBENCH_MONGODB_URI="mongodb://u:hunter2@127.0.0.1:1/")
    assert done.returncode == 3
    assert "MongoDB cannot be reached" in done.stderr
    assert "hunter2" not in done.stderr
    done = run("migrate", cwd=project, settings=servers, WORKBENCH_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d")
    assert done.returncode == 3
    assert "PostgreSQL cannot be used" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_wrong_password(project: Path, servers: Settings) -> None:
    assert servers.mongodb_uri
    assert servers.database_url
    uri = servers.mongodb_uri.get_secret_value()
    user, _, rest = uri.removeprefix("mongodb://").partition("@")
    wrong = f"mongodb://{user.partition(':')[0]}:hunter2@{rest}"
    done = run("migrate", cwd=project, settings=servers, WORKBENCH_MONGODB_URI=wrong)
    assert done.returncode == 3
    assert "refuses this user" in done.stderr
    assert "hunter2" not in done.stderr


def test_an_unknown_table_names_the_known_ones(project: Path, servers: Settings) -> None:
    done = run("migrate", "--tables", "transactions", cwd=project, settings=servers)
    assert done.returncode == 2
    assert "Unknown table transactions" in done.stderr
    assert "transaction_scores" in done.stderr


def test_a_malformed_env_file(project: Path) -> None:
    (project / ".env").write_text("WORKBENCH_WORKERS\n")
    done = run("settings", cwd=project)
    assert done.returncode == 2
    assert "line 1" in done.stderr


def test_no_servers_at_all(project: Path) -> None:
    done = run("migrate", cwd=project)
    assert done.returncode == 3
    assert "workbench start" in done.stderr


def test_a_source_without_the_tables(project: Path, empty_settings: Settings) -> None:
    done = run("migrate", cwd=project, settings=empty_settings)
    assert done.returncode in (1, 2, 3)
    assert "investigation_states" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_of_mongodb_is_one_message_without_documents(project: Path, empty_settings: Settings) -> None:
    twice = {"tenant_id": "t", "user_id": "u", "name": "planted name"}
    with connections.open_target(empty_settings) as client:
        client[empty_settings.mongodb_database]["templates"].insert_many([dict(twice), dict(twice)])
    done = run("schema", cwd=project, settings=empty_settings)
    assert done.returncode == 3
    assert done.stderr.startswith("error: MongoDB refused a command (11000")
    assert "planted name" not in done.stderr


def test_a_refusal_of_postgresql_is_one_message(project: Path, empty_settings: Settings) -> None:
    with connections.open_source(empty_settings, autocommit=True) as source:
        source.execute("CREATE TYPE investigation_states AS ENUM ('in the way')")
    done = run("sample", cwd=project, settings=empty_settings)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("error: PostgreSQL refused")
    assert "Traceback" not in done.stderr


def test_an_unknown_option_is_a_matter_of_usage(project: Path) -> None:
    assert run("migrate", "--tabels", "x", cwd=project).returncode == 2


def test_a_folder_that_cannot_be_written(project: Path) -> None:
    (project / "file").touch()
    done = run("start", "--data-dir", str(project / "file" / "data"), cwd=project)
    assert done.returncode == 2
    assert "--data-dir" in done.stderr


def test_the_plan_of_the_schema_changes_nothing(project: Path, empty_settings: Settings) -> None:
    first = run("schema", "--plan", cwd=project, settings=empty_settings)
    assert first.returncode == 1
    assert "create collection investigations" in first.stdout
    assert run("schema", "--plan", cwd=project, settings=empty_settings).stdout == first.stdout
    assert run("schema", cwd=project, settings=empty_settings).returncode == 0
    again = run("schema", "--plan", cwd=project, settings=empty_settings)
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout


def test_every_command_has_help(project: Path) -> None:
    listed = run("--help", cwd=project).stdout
    for command in ("demo", "migrate", "verify", "check", "benchmark", "quarantine", "drill", "lab", "embed", "status"):
        assert command in listed
        assert run(command, "--help", cwd=project).returncode == 0
