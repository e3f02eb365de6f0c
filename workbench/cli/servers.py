"""`workbench start`, `stop`, `status`, `settings`: the embedded servers, the last migration, and the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from workbench.settings import configure_logging, env_example, load_settings


def _use_data_dir(value: Path | None) -> Path | None:
    """Make the folder known to this process and to all that it starts."""
    if value is not None:
        os.environ["WORKBENCH_DATA_DIR"] = str(value.resolve())
    return value


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded servers.", callback=_use_data_dir, is_eager=True),
]


def start(data_dir: DataDir = None) -> None:
    """Start the embedded PostgreSQL and MongoDB; nothing happens to those that run."""
    from workbench import embedded

    settings = load_settings()
    embedded.start(settings.data_dir, mongodb_port=settings.embedded_mongodb_port)
    _print_status(settings.data_dir)


def stop(data_dir: DataDir = None) -> None:
    """Stop the embedded servers. Their data stay."""
    from workbench import embedded

    stopped = embedded.stop(load_settings().data_dir)
    typer.echo(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running.")


def status(data_dir: DataDir = None) -> None:
    """Show the embedded servers, and what the last migration did with each table."""
    from workbench import connections, embedded
    from workbench.cli.migrate import table_lines
    from workbench.migration.ledger import Ledger, State
    from workbench.migration.results import stored_results

    settings = load_settings()
    configure_logging(settings)
    if not (settings.database_url and settings.mongodb_uri):
        _print_status(settings.data_dir)
        if not settings.mongodb_uri and not embedded.status(settings.data_dir)[1].running:
            return
    with connections.open_target(settings) as client:
        ledger = Ledger(client[settings.mongodb_database])
        run = ledger.last_run()
        if run is None:
            typer.echo(f"No migration has run into the database {settings.mongodb_database}.")
            return
        state = run.get("state", State.STARTED)
        typer.echo(f"Last migration: {run['_id']}, {state}, started {run['started_at']:%Y-%m-%d %H:%M:%S} UTC")
        if state == State.STARTED:
            at = max(ledger.last_activity() or run["started_at"], run["started_at"])
            typer.echo(f"It is running, or was killed: its last partition changed at {at:%Y-%m-%d %H:%M:%S} UTC.")
        for line in table_lines(stored_results(ledger)):
            typer.echo(line)


def settings(
    example: Annotated[bool, typer.Option("--example", help="Print the text of .env.example.")] = False,
) -> None:
    """Show the settings in force; secrets stay hidden."""
    if example:
        typer.echo(env_example(), nl=False)
        return
    for name, value in load_settings().model_dump().items():
        typer.echo(f"{name:<34} {'' if value is None else value}")


def _print_status(data_dir: Path) -> None:
    from workbench import embedded

    for server in embedded.status(data_dir):
        state = f"running, process {server.pid}" if server.running else "stopped"
        typer.echo(f"{server.name:<11} {state:<24} {server.address}")
