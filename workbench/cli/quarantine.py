"""`workbench quarantine`: what stands in the quarantine, replay it, or decide that rows stay behind."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.errors import ConfigurationError
from workbench.progress import progress
from workbench.settings import configure_logging, load_settings

quarantine_app = typer.Typer(help="Rows that could not be loaded: show, replay, waive.", no_args_is_help=True)
Tables = Annotated[str, typer.Option(help="Source tables, separated by commas; default: all ten.")]
Reason = Annotated[str, typer.Option(help="Only entries with this reason.")]


@quarantine_app.command("list")
def list_open(
    tables: Tables = "",
    reason: Reason = "",
    full: Annotated[bool, typer.Option("--json", help="Each entry with its raw row, one JSON a line.")] = False,
) -> None:
    """Show open entries by cause. Exit code: 0 none is open, 1 some are."""
    from workbench import connections
    from workbench.migration.quarantine import Quarantine, as_json

    settings = load_settings()
    configure_logging(settings)
    with connections.open_target(settings) as client:
        quarantine = Quarantine(client[settings.mongodb_database])
        entries = quarantine.entries(tables=_names(tables), reason=reason or None)
        causes = quarantine.causes()
    if full:
        for entry in entries:
            typer.echo(as_json(entry))
    else:
        wanted = {(entry["table"], entry["field"], entry["reason"]) for entry in entries}
        for cause in causes:
            if (cause["table"], cause["field"], cause["reason"]) in wanted:
                where = f"{cause['table']}.{cause['field']}" if cause["field"] else cause["table"]
                typer.echo(f"{cause['rows']:>9,}  {where:<50} {cause['reason']:<30} {', '.join(cause['examples'])}")
        typer.echo(f"{len(entries):,} rows are open.")
    raise typer.Exit(1 if entries else 0)


@quarantine_app.command()
def replay(
    tables: Tables = "",
    reason: Reason = "",
    accept: Annotated[
        list[str] | None, typer.Option(help="Accept a rule from now on (see `rules`); repeatable.")
    ] = None,
) -> None:
    """Load rows that were mended in the source, or that an accepted rule lets pass.

    Exit code: 0 nothing is open any more, 1 some rows are still bad, 2 usage, 3 could not run.
    """
    from workbench.migration.replay import replay as run_replay

    settings = load_settings()
    configure_logging(settings)
    done: dict[str, int] = {}
    with progress(None, "replay") as bar:

        def show(table: str, examined: int, total: int) -> None:
            bar.update(examined - done.get(table, 0))
            done[table] = examined

        result = run_replay(
            settings, tables=_names(tables), reason=reason or None, accept=accept or (), on_progress=show
        )
    for table in result.tables:
        typer.echo(
            f"{table.table:<26}{table.examined:>9,} examined = {table.loaded:,} loaded + {table.gone:,} gone + "
            f"{table.still_open:,} still open"
        )
    raise typer.Exit(1 if result.still_open else 0)


@quarantine_app.command()
def rules() -> None:
    """List the rules that `replay --accept` knows. None of them loses anything."""
    from workbench.migration.tables.columns import RULES

    for name, what in RULES.items():
        typer.echo(f"{name:<40} {what}")


@quarantine_app.command()
def waive(
    by: Annotated[str, typer.Option(help="Who decides, for the record.")],
    tables: Tables = "",
    reason: Reason = "",
) -> None:
    """Decide that open rows stay behind. They stay counted; a row that changes is open again."""
    from workbench import connections
    from workbench.migration.quarantine import Quarantine
    from workbench.migration.replay import waive as run_waive

    if not (tables or reason):
        raise ConfigurationError("Nothing says which rows to waive.", todo="Give --tables, --reason, or both.")
    settings = load_settings()
    configure_logging(settings)
    with connections.open_target(settings) as client:
        entries = Quarantine(client[settings.mongodb_database]).entries(tables=_names(tables), reason=reason or None)
    typer.echo(f"{run_waive(settings, [entry['_id'] for entry in entries], by):,} rows are waived.")


def _names(text: str) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] or None
