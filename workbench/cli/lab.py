"""`workbench lab`."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated

import typer

from workbench.cli.servers import DataDir
from workbench.settings import load_settings


def lab(
    notebook: Annotated[
        str, typer.Argument(help="Name (10_investigations, or investigations) to open.")
    ] = "start_here",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0: any free one.")] = 0,
    allow_root: Annotated[bool, typer.Option("--allow-root", help="Run although you are root.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Open JupyterLab on the notebooks, with this environment's kernel. Ctrl-C shuts down its kernels and ends it."""
    from workbench import embedded
    from workbench.explorer.server import start_lab
    from workbench.reporting.catalogue import find_notebook

    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal ends JupyterLab as Ctrl-C does, and leaves no kernel behind
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    settings = load_settings()
    path = find_notebook(notebook)
    if not settings.mongodb_uri and not embedded.status(settings.data_dir)[1].running:
        typer.echo("The embedded servers do not run yet: `workbench demo` makes data, `workbench start` starts them.")
    server = start_lab(settings, path.parent, notebook=path.name, port=port, allow_root=allow_root)
    try:
        typer.echo(f"JupyterLab runs. Open this link, and end with Ctrl-C:\n\n    {server.url}\n")
        server.process.wait()
    except KeyboardInterrupt:
        typer.echo("Shutting down the kernels.")
    finally:
        server.stop()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
