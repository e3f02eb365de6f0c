"""The explorer in a real kernel: clicks are answered over comms on the main thread; headless it is a dossier."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager

from tests.cases import CASE, MARKUP, TENANT, TOKEN
from workbench.explorer.server import settings_environment
from workbench.reporting.execution import run_notebook
from workbench.settings import Settings

_EXPLORER = f"""
import threading
from workbench.explorer.investigations import InvestigationFilter
from workbench.explorer.notebook import explore, open_explorer
model = open_explorer()
controller = explore(model, InvestigationFilter({TENANT!r}))
view = controller.view
threads = []
view.next.on_click(lambda _: threads.append(threading.current_thread() is threading.main_thread()))
view.position.observe(lambda _: threads.append(threading.current_thread() is threading.main_thread()), "value")
"""


@pytest.fixture
def kernel(explored: Settings) -> Iterator[BlockingKernelClient]:
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.start_kernel(env={**os.environ, **settings_environment(explored), "WORKBENCH_RUN_DIR": ""})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def value(kernel: BlockingKernelClient, expression: str) -> Any:
    """What an expression gives in the kernel, as text."""
    reply = kernel.execute_interactive(
        "", user_expressions={"value": expression}, output_hook=lambda _: None, timeout=30
    )
    found = reply["content"]["user_expressions"]["value"]
    assert found["status"] == "ok", found
    return found["data"]["text/plain"]


def wait_for(kernel: BlockingKernelClient, expression: str) -> None:
    deadline = time.monotonic() + 30
    while value(kernel, expression) != "True":
        assert time.monotonic() < deadline, f"{expression}: {value(kernel, 'view.message.value')}"
        time.sleep(0.1)


def test_a_click_and_a_typed_text_are_answered_on_the_main_thread(kernel: BlockingKernelClient) -> None:
    outputs: list[dict[str, Any]] = []
    reply = kernel.execute_interactive(_EXPLORER, output_hook=outputs.append, timeout=60)
    assert reply["content"]["status"] == "ok", reply["content"]
    shown = [message["content"]["data"] for message in outputs if message["msg_type"] == "display_data"]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    wait_for(kernel, "'1-50 of about 121' in view.position.value")

    def send(widget: str, data: dict[str, Any]) -> None:
        comm_id = value(kernel, f"{widget}.model_id").strip("'")
        kernel.shell_channel.send(kernel.session.msg("comm_msg", {"comm_id": comm_id, "data": data}))

    send("view.next", {"method": "custom", "content": {"event": "click"}})
    wait_for(kernel, "'51-100 of about 121' in view.position.value")
    send("view.text", {"method": "update", "state": {"value": "case-"}, "buffer_paths": []})
    wait_for(kernel, "'1-1 of about 1' in view.position.value")
    assert value(kernel, "bool(threads) and all(threads)") == "True"


def test_headless_it_is_a_dossier_of_the_investigation_that_is_named(
    explored: Settings, repository_root: Path, tmp_path: Path
) -> None:
    run = run_notebook(
        repository_root / "notebooks" / "10_investigations.ipynb",
        parameters={"tenant": TENANT, "investigation_id": CASE},
        run_dir=tmp_path,
        environment=settings_environment(explored),
    )
    assert (run.status, run.error) == ("passed", "")
    html = (tmp_path / "10_investigations.html").read_text(encoding="utf-8")
    for fact in (
        "case-&lt;b&gt;one", "risk score 0.97", "its history is complete", "shared by 14 accounts", "execution-1",
        "no answer", "Timeline of", "Changes from version 0 to 5", "Similar past investigations",
    ):  # fmt: skip
        assert fact in html, fact
    for wrong in (MARKUP, TOKEN, "Traceback", "wb-alert", "cannot be shown"):
        assert wrong not in html, wrong
