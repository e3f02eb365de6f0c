"""JupyterLab's own settings and environment, without starting it."""

from __future__ import annotations

import json
import os
import socket
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import SecretStr

from workbench.errors import ConfigurationError
from workbench.explorer.server import LabServer, _free_port, _write_home, settings_environment, start_lab
from workbench.settings import Settings


def test_another_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Settings(
        _env_file=None,
        mongodb_uri=SecretStr("mongodb://user:pass@db/"),
        mongodb_database="other",
        batch_rows=77,
        data_dir=tmp_path,
    )
    for name, value in settings_environment(ours).items():
        monkeypatch.setenv(name, value)
    theirs = Settings(_env_file=None)
    assert theirs.mongodb_uri == ours.mongodb_uri
    assert (theirs.mongodb_database, theirs.batch_rows, theirs.data_dir) == ("other", 77, tmp_path)


def test_overrides_name_settings_that_this_jupyterlab_has() -> None:
    overrides = json.loads(files("workbench.explorer").joinpath("overrides.json").read_text("utf-8"))
    schemas = Path(sys.prefix, "share", "jupyter", "lab", "schemas")
    for plugin, values in overrides.items():
        package, name = plugin.split(":")
        properties = json.loads((schemas / package / f"{name}.json").read_text("utf-8"))["properties"]
        assert values.keys() <= properties.keys()
    assert overrides["@jupyterlab/apputils-extension:kernels-settings"]["commsOverSubshells"] == "disabled"


def test_the_kernel_is_this_interpreter_and_the_folder_is_private(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    _write_home(home)
    kernel = json.loads((home / "jupyter" / "kernels" / "python3" / "kernel.json").read_text("utf-8"))
    assert kernel["argv"][0] == sys.executable
    assert home.stat().st_mode & 0o077 == 0


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} is taken"):
            _free_port(port)
    assert _free_port(0) > 0


def test_root_has_to_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigurationError, match="--allow-root"):
        start_lab(Settings(_env_file=None, data_dir=tmp_path), tmp_path, notebook="x.ipynb")


def test_the_token_is_in_the_link_and_not_in_the_repr() -> None:
    server = LabServer(None, 8888, "secret-token", "a b.ipynb")  # type: ignore[arg-type]
    assert server.url == "http://127.0.0.1:8888/lab/tree/a%20b.ipynb?token=secret-token"
    assert "secret-token" not in repr(server)
