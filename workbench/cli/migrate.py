"""`workbench migrate`, `pause` and `continue`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ConfigurationError
from workbench.settings import Settings, configure_logging, load_settings

if TYPE_CHECKING:
    from workbench.migration.results import TableResult


def migrate(
    tables: Annotated[str, typer.Option(help="Source tables, separated by commas; default: all ten.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but write.")] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Compare every row with its document and mend those that differ.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Recheck, and delete migrated documents whose row is gone.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes.")] = None,
    max_rows_per_second: Annotated[float, typer.Option(min=0, help="Limit over all workers, 0 is none.")] = 0.0,
    max_source_connections: Annotated[int | None, typer.Option(min=2, help="Limit of PostgreSQL connections.")] = None,
    scheduler: Annotated[str, typer.Option(help="Run on this Dask cluster, tcp://host:port.")] = "",
    scan: Annotated[bool, typer.Option(help="First scan the source and print the budget of loss.")] = True,
) -> None:
    """Bring the target into line with the source. The same command resumes, and repeats without doing anything twice.

    The source wins: --recheck also undoes what services have changed in migrated documents since.

    Exit code: 0 all rows accounted for and there, 1 a table is incomplete or paused, 2 usage, 3 could not run.
    """
    from workbench.migration import executors, pipeline
    from workbench.migration.console import MigrationConsole

    settings = load_settings(workers=workers, max_source_connections=max_source_connections)
    configure_logging(settings)
    executor, where = executors.chosen(scheduler)
    typer.echo(where, err=True)
    names = [name.strip() for name in tables.split(",") if name.strip()] or None
    if scan:
        _print_budget(settings, names)
    with MigrationConsole() as console:
        result = pipeline.migrate(
            settings,
            tables=names,
            dry_run=dry_run,
            recheck=recheck,
            prune=prune,
            executor=executor,
            rows_per_second=max_rows_per_second,
            on_progress=console,
        )
    for line in table_lines(result.tables.values()):
        typer.echo(line)
    counts = result.counts
    typer.echo(
        f"{'Dry run' if dry_run else 'Run'} {result.run_id} {result.state}: {counts.read:,} rows read = "
        f"{counts.written:,} written + {counts.already_there:,} already there + {counts.quarantined:,} quarantined, "
        f"{result.elapsed_seconds:.1f} s"
    )
    if settings.retention_days and not dry_run:
        _print_retention(settings)
    raise typer.Exit(0 if result.complete else 1)


def _print_retention(settings: Settings) -> None:
    from workbench import connections, schema

    with connections.open_target(settings) as client:
        left = schema.retention_left(client[settings.mongodb_database], settings)
    if left:
        typer.echo(
            f"The retention of {settings.retention_days:,} days is not set on {', '.join(left)}: old documents would "
            "expire before they are verified. Set it with `workbench schema` after the proof."
        )


def _print_budget(settings: Settings, names: list[str] | None) -> None:
    from workbench import connections
    from workbench.migration.loss import scan_each
    from workbench.migration.tables import chosen_tables

    chosen = chosen_tables(names)
    connections.open_target(settings).close()  # before a long scan: can the target be reached at all?
    with connections.open_source(settings) as source:
        budget, refused = scan_each(source, settings, chosen)
    for sentence in refused:  # the others are moved; the run tells it again as that table's error
        typer.echo(f"Not scanned: {sentence}", err=True)
    typer.echo("Budget of loss: values that BSON holds only in part. Their rest is kept beside the document.")
    for loss in budget:
        if loss.kept_exact or loss.quarantined:
            left = f", {loss.quarantined:,} to quarantine" if loss.quarantined else ""
            typer.echo(
                f"  {f'{loss.table}.{loss.column}':<46}{loss.kept_exact:>12,} of {loss.rows:,} kept exactly{left}"
            )


def pause(table: Annotated[str, typer.Argument(help="Source table.")]) -> None:
    """Let no further partition of a table start, in a running migration and in later ones."""
    _ledger_call(table, "pause")


def resume(table: Annotated[str, typer.Argument(help="Source table.")]) -> None:
    """Take back `pause`."""
    _ledger_call(table, "resume")


def _ledger_call(table: str, verb: str) -> None:
    from workbench import connections
    from workbench.migration.ledger import Ledger
    from workbench.migration.tables import TABLES

    if table not in TABLES:
        raise ConfigurationError(f"Unknown table {table}.", todo=f"Choose from: {', '.join(TABLES)}.")
    settings = load_settings()
    with connections.open_target(settings) as client:
        ledger = Ledger(client[settings.mongodb_database])
        (ledger.pause if verb == "pause" else ledger.resume)(table)
    typer.echo(f"{table}: {verb}d.")


def table_lines(results: Iterable[TableResult]) -> list[str]:
    """The account of each table as aligned text."""
    lines = [
        f"{'table':<26}{'source':>11}{'read':>11}{'written':>11}{'there':>11}{'quarantined':>13}  partitions",
    ]
    for table in results:
        counts = table.counts
        state = "" if table.complete else "  PAUSED" if table.paused else "  INCOMPLETE"
        state = "  running" if table.running and not table.complete and not table.errors else state
        retries = f", {table.retries} retries" if table.retries else ""
        lines.append(
            f"{table.table:<26}{table.source_rows:>11,}{counts.read:>11,}{counts.written:>11,}"
            f"{counts.already_there:>11,}{counts.quarantined:>13,}  {table.done}/{table.partitions}{retries}{state}"
        )
        lines += [f"  {error}" for error in table.errors[:5]]
        if table.missing:
            lines.append(f"  {table.missing:,} documents are no longer there; `workbench migrate --recheck` mends that")
        if table.pruned:
            lines.append(f"  {table.pruned:,} documents deleted whose row is gone from the source")
        elif table.surplus:
            lines.append(f"  {table.surplus:,} documents whose row is gone from the source; --prune deletes them")
    return lines
