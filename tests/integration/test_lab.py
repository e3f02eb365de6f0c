"""`workbench lab` and `workbench embed` as processes."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.explorer.server import settings_environment
from workbench.settings import Settings

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}


def run(module: str, function: str, arguments: list[str], settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """The command as its own process: the function alone, whatever else the command line has."""
    code = f"import typer; from {module} import {function}; typer.run({function})"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **ENVIRONMENT, **settings_environment(settings)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answer(port: str, path: str, token: str = "", method: str = "GET") -> tuple[int, Any]:
    """Status and content of an answer of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    try:
        connection.request(method, path, headers={"Authorization": f"token {token}"} if token else {})
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def test_the_link_opens_lab_and_ctrl_c_ends_it_with_its_kernels(explored: Settings, tmp_path: Path) -> None:
    settings = explored.model_copy(update={"data_dir": tmp_path / "data"})
    process = run("workbench.cli.lab", "lab", ["investigations", "--allow-root"], settings, tmp_path)
    assert process.stdout is not None
    link = next(line.strip() for line in process.stdout if "http://" in line)
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/lab/tree/10_investigations\.ipynb\?token=(.{20,})", link)
    assert found, link
    port, token = found[1], found[2]
    assert answer(port, "/api/kernels")[0] == 403
    _, specs = answer(port, "/api/kernelspecs", token)
    assert specs["kernelspecs"]["python3"]["spec"]["argv"][0] == sys.executable
    _, comms = answer(port, "/lab/api/settings/@jupyterlab/apputils-extension:kernels-settings", token)
    assert comms["schema"]["properties"]["commsOverSubshells"]["default"] == "disabled"
    assert answer(port, "/api/kernels", token, "POST")[0] == 201
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("ipykernel_launcher" in " ".join(child.cmdline()) for child in children)

    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert "Shutting down the kernels" in output
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert all(token not in " ".join(child.info["cmdline"] or []) for child in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_closed_terminal_leaves_no_server_behind(
    explored: Settings, tmp_path: Path, ended_by: signal.Signals
) -> None:
    settings = explored.model_copy(update={"data_dir": tmp_path / "data"})
    process = run("workbench.cli.lab", "lab", ["investigations", "--allow-root"], settings, tmp_path)
    assert process.stdout is not None
    next(line for line in process.stdout if "http://" in line)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(ended_by)
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=10)
    for child in alive:
        child.kill()
    assert children
    assert alive == []


def test_embed_says_what_it_did(explored: Settings, tmp_path: Path) -> None:
    process = run("workbench.cli.embed", "embed", [], explored, tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "structure-hash@1: 0 anomalies embedded anew, 80 were up to date" in output
