"""`workbench demo`: from nothing to a verified migration report on embedded servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.servers import DataDir
from workbench.errors import ConfigurationError
from workbench.progress import progress
from workbench.settings import Settings, load_settings

NOTEBOOKS = ("01_source_profile", "02_migrate", "03_verify")
_EMBEDDED_SERVERS = {
    "WORKBENCH_DATABASE_URL": "",
    "WORKBENCH_MONGODB_URI": "",
    "WORKBENCH_SOURCE_SCHEMA": "public",
}
"""An empty URI means the embedded server, also in kernels."""


def demo(
    scale: Annotated[int, typer.Option(min=1, max=1000, help="1 is about 60,000 rows, 1000 about 60 million.")] = 1,
    dirty: Annotated[float, typer.Option(min=0, max=0.5, help="Fraction of bad rows: 0.01 is 1 %.")] = 0.0,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes.")] = None,
    data_dir: DataDir = None,
    reports_dir: Annotated[Path | None, typer.Option(help="Folder of the reports.")] = None,
) -> None:
    """Start embedded servers, fill the source with sample data, migrate, verify, and write the report.

    A second call reuses servers and data and changes nothing. Your own servers are never touched, even if the settings
    name them.
    """
    from workbench import embedded

    os.environ.update(_EMBEDDED_SERVERS)
    settings = load_settings(workers=workers, reports_dir=reports_dir)
    os.environ["WORKBENCH_WORKERS"] = str(settings.workers)
    typer.echo(f"Starting embedded PostgreSQL and MongoDB under {settings.data_dir}", err=True)
    embedded.start(settings.data_dir, mongodb_port=settings.embedded_mongodb_port)
    _fill(settings, scale, dirty)

    # Only now the packages that take a second to import.
    from workbench.reporting.catalogue import find_notebook
    from workbench.reporting.console import RunConsole, closing_lines
    from workbench.reporting.runner import run_series

    endpoints = embedded.attach(settings.data_dir)
    console = RunConsole()
    record = run_series(
        "demo",
        [(find_notebook(name), {}) for name in NOTEBOOKS],
        reports_dir=settings.reports_dir,
        title="From sample data to a verified migration",
        environment={name: value for name, value in os.environ.items() if name.startswith("WORKBENCH_")},
        on_progress=console,
        secrets=(endpoints.source_uri, endpoints.target_uri, *embedded.passwords(settings.data_dir)),
        rerun=f"workbench demo --scale {scale}",
    )
    console.close()
    for line in closing_lines(record):
        typer.echo(line)
    raise typer.Exit(record.exit_code)


def _fill(settings: Settings, scale: int, dirty: float) -> None:
    from workbench import connections, sample

    with connections.open_source(settings) as connection:
        manifest = sample.read_manifest(connection)
        if manifest is None:
            sample.create_schema(connection, strict=not dirty)
            with progress(None, "sample data") as bar:
                done: dict[str, int] = {}

                def show(table: str, rows: int, expected: int) -> None:
                    bar.update(rows - done.get(table, 0))
                    done[table] = rows

                sample.fill(connection, scale=scale, dirty=dirty, progress=show)
        elif (manifest.scale, manifest.dirty) != (scale, dirty):
            raise ConfigurationError(
                f"{settings.data_dir} holds sample data of scale {manifest.scale} with a share of {manifest.dirty:g} "
                f"bad rows, not of scale {scale} with {dirty:g}.",
                todo="Use another --data-dir, or repeat the command with these values.",
            )
        else:
            typer.echo(f"Using the sample data of scale {scale} that is there", err=True)
