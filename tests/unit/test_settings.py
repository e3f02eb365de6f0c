"""Settings: where they come from, and one message that names every wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import ConfigurationError
from workbench.settings import Settings, env_example, environment_names, load_settings


@pytest.fixture(autouse=True)
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable and no file of the developer's own reaches these tests."""
    for field in Settings.model_fields:
        for name in environment_names(field):
            monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_wins_over_the_file(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_project / ".env").write_text("WORKBENCH_BATCH_ROWS=7\nWORKBENCH_WORKERS=3\n")
    monkeypatch.setenv("WORKBENCH_WORKERS", "5")
    settings = load_settings()
    assert (settings.batch_rows, settings.workers) == (7, 5)


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_WORKERS", "5")
    assert load_settings(workers=2).workers == 2
    assert load_settings(workers=None).workers == 5


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("MONGODB_URI", "mongodb://h/", "mongodb_uri"),
        ("DATABASE_URL", "postgresql://h/d", "database_url"),
        ("MONGODB_DATABASE", "fraud", "mongodb_database"),
    ],
)
def test_plain_names_are_read(monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str) -> None:
    monkeypatch.setenv(name, value)
    found = getattr(load_settings(), field)
    assert (found.get_secret_value() if hasattr(found, "get_secret_value") else found) == value


def test_one_message_names_every_wrong_variable_and_hides_secrets(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_BATCH_ROWS", "0")
    monkeypatch.setenv("WORKBENCH_WORKERS", "many")
    monkeypatch.setenv("MONGODB_URI", "http://user:hunter2@host")
    monkeypatch.setenv("WORKBENCH_WORKRES", "3")
    (empty_project / ".env").write_text("WORKBENCH_LOGLEVEL=INFO\nWORKBENCH_TLS true\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = str(caught.value)
    assert "WORKBENCH_BATCH_ROWS='0'" in message
    assert "greater than or equal to 1" in message
    assert "WORKBENCH_WORKERS='many'" in message
    assert "WORKBENCH_MONGODB_URI=(secret): must start with mongodb://" in message
    assert "environment: WORKBENCH_WORKRES is not a setting; did you mean WORKBENCH_WORKERS?" in message
    assert "line 1: WORKBENCH_LOGLEVEL is not a setting; did you mean WORKBENCH_LOG_LEVEL?" in message
    assert "line 2: expected NAME=value" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WORKBENCH_WORKERS 3\n", "line 1: expected NAME=value"),
        ("# fine\nWORKBENCH_WORKRES=3\n", "line 2: WORKBENCH_WORKRES is not a setting"),
        ("'quoted=1\n", "line 1: expected NAME=value"),
        ('A=1\nWORKBENCH_MONGODB_URI="mongodb://prod/\n', "line 2: expected NAME=value.*WORKBENCH_MONGODB_URI"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(empty_project: Path, text: str, expected: str) -> None:
    (empty_project / ".env").write_text(text)
    with pytest.raises(ConfigurationError, match=expected):
        load_settings()


def test_a_file_that_is_not_text_is_refused(empty_project: Path) -> None:
    (empty_project / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_settings()


def test_secrets_are_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_MONGODB_URI", "mongodb://user:hunter%402@host/")
    settings = load_settings()
    assert "hunter" not in repr(settings) + str(settings.model_dump())
    assert set(settings.secrets()) == {"mongodb://user:hunter%402@host/", "hunter%402", "hunter@2"}


@pytest.mark.parametrize("password", ["with#hash", "with[bracket", "with@sign", "plain"])
@pytest.mark.parametrize("uri", ["postgresql://user:{}@host/db", "postgresql://host/db?user=u&password={}"])
def test_a_password_is_found_however_it_is_written(uri: str, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", uri.format(password))
    assert password in load_settings().secrets()


def test_a_misspelt_variable_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_WORKRES", "3")
    with pytest.raises(ConfigurationError, match=r"WORKBENCH_WORKRES is not .* WORKBENCH_WORKERS"):
        load_settings()


def test_paths_are_taken_from_the_root_also_in_the_folder_of_notebooks(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_project / "notebooks").mkdir()
    monkeypatch.chdir(empty_project / "notebooks")
    assert load_settings().data_dir == empty_project / ".workbench"


def test_the_example_is_that_of_the_settings(repository_root: Path) -> None:
    assert (repository_root / ".env.example").read_text() == env_example(), "run: workbench settings --example"


def test_the_example_names_every_setting_and_sets_none(empty_project: Path) -> None:
    example = env_example()
    for field in Settings.model_fields:
        assert f"# {environment_names(field)[0]}=" in example
    (empty_project / ".env").write_text(example)
    assert load_settings() == Settings(_env_file=None)
