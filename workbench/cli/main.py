"""The command `workbench`. Exit codes: 0 good, 1 found wanting, 2 usage or configuration, 3 could not run."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from workbench import __version__
from workbench.cli import (
    benchmark,
    benchmark_migration,
    demo,
    drill,
    embed,
    lab,
    migrate,
    quarantine,
    reports,
    sample,
    schema,
    servers,
    verify,
)
from workbench.errors import ConfigurationError, WorkbenchError

INTERRUPTED = "Interrupted. What is done stays done; the same command goes on from there."


class _Commands(typer.core.TyperGroup):
    """Turns our errors into one message on stderr, without a traceback, and their exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except WorkbenchError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo(INTERRUPTED, err=True)
            raise typer.Exit(3) from None
        except Exception as error:
            known = _translated(error)
            if known is None:
                raise
            typer.echo(f"error: {known}", err=True)
            raise typer.Exit(known.exit_code) from None


def _translated(error: Exception) -> WorkbenchError | None:
    """The workbench's error for one of a driver or of the file system that no function expected; None: a defect."""
    from psycopg import Error as SourceError
    from pymongo.errors import PyMongoError

    from workbench import connections

    if isinstance(error, PyMongoError):
        return connections.translate_target_error(error)
    if isinstance(error, SourceError):
        return connections.translate_source_error(error)
    if isinstance(error, OSError) and error.filename is not None:
        return ConfigurationError(f"{error.filename}: {error.strerror}.", todo="Give a path that can be used.")
    return None


app = typer.Typer(
    cls=_Commands,
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
app.add_typer(quarantine.quarantine_app, name="quarantine")
app.command()(verify.verify)
app.command()(verify.check)
app.add_typer(benchmark.app, name="benchmark")
benchmark.app.command("migration")(benchmark_migration.migration)
app.command()(drill.drill)
app.command()(embed.embed)
app.command()(lab.lab)
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
    app()
