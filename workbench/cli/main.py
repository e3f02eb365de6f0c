"""The command `workbench`. Exit codes: 0 good, 1 found wanting, 2 usage or configuration, 3 could not run."""

from __future__ import annotations

import sys

import click
import typer

from workbench import __version__
from workbench.cli import demo, migrate, reports, sample, schema, servers
from workbench.errors import WorkbenchError

INTERRUPTED = "Interrupted. What is done stays done; the same command goes on from there."

app = typer.Typer(
    help="Move a fraud-investigation platform from PostgreSQL to MongoDB, prove it, measure it, explore it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(demo.demo)
app.command()(servers.start)
app.command()(servers.stop)
app.command()(servers.status)
app.command()(servers.settings)
app.command("sample")(sample.sample_data)
app.command()(schema.schema)
app.command()(migrate.migrate)
app.command()(migrate.pause)
app.command("continue")(migrate.resume)
app.command()(reports.run)
app.command()(reports.reports)
app.add_typer(reports.notebooks_app, name="notebooks")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Show the version and end."),
    data_dir: servers.DataDir = None,
) -> None:
    """Options of every command stand before its name."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code. Errors become one message on stderr, without a traceback."""
    try:
        return app(arguments, standalone_mode=False) or 0
    except WorkbenchError as error:
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        typer.echo(INTERRUPTED, err=True)
        return 3
