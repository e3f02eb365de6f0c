"""`workbench quarantine`: rows that stayed behind, by cause; show, replay, waive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.settings import load_settings

if TYPE_CHECKING:
    from workbench.migration.quarantine import Quarantine

app = typer.Typer(help="Rows that could not be loaded. Without a command: by cause.", invoke_without_command=True)

Tables = Annotated[str, typer.Option(help="Source tables, separated by commas; default: all.")]
Reason = Annotated[str | None, typer.Option(help="Only rows with this reason, for example malformed_json.")]


@app.callback()
def causes(context: typer.Context) -> None:
    """Group the open rows by table, field and reason. Exit code: 0 none is open, 1 some are."""
    if context.invoked_subcommand:
        return
    with _quarantine() as quarantine:
        groups = quarantine.causes()
    for group in groups:
        where = f"{group['table']}.{group['field']}" if group["field"] else group["table"]
        examples = ", ".join(group["examples"])
        typer.echo(f"{group['rows']:>9,}  {where:<44} {group['reason']:<28} {group['message']} (such as {examples})")
    total = sum(group["rows"] for group in groups)
    typer.echo(f"{total:,} rows in quarantine." if total else "No row is in quarantine.")
    raise typer.Exit(1 if total else 0)


@app.command()
def show(
    tables: Tables = "",
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to print.")] = 20,
) -> None:
    """Print open rows as lines of JSON, secrets masked."""
    from workbench.migration.quarantine import as_json

    with _quarantine() as quarantine:
        for entry in quarantine.entries(tables=_names(tables), reason=reason)[:limit]:
            typer.echo(as_json(entry))


@app.command()
def replay(
    tables: Tables = "",
    reason: Reason = None,
    accept: Annotated[list[str] | None, typer.Option(help="Rule to accept from now on; repeatable.")] = None,
) -> None:
    """Load rows that were mended in the source, or that a rule now accepts.

    Exit code: 0 none is open any more, 1 some are, 2 usage, 3 could not run.
    """
    from workbench.migration.replay import replay as load_again
    from workbench.progress import progress

    with progress(None, "replay") as bar:
        result = load_again(
            load_settings(),
            tables=_names(tables),
            reason=reason,
            accept=accept or (),
            on_progress=lambda table, done, total: bar.note(f"{table}: {done:,} of {total:,}"),
        )
        bar.update(sum(table.examined for table in result.tables))
    for table in result.tables:
        typer.echo(
            f"{table.table:<26}{table.examined:>9,} examined = {table.loaded:,} loaded + {table.gone:,} gone from the "
            f"source + {table.still_open:,} still open"
        )
    raise typer.Exit(1 if result.still_open else 0)


@app.command()
def rules() -> None:
    """List the rules that `replay --accept` knows. None of them loses anything."""
    from workbench.migration.tables.columns import RULES

    for name, what in RULES.items():
        typer.echo(f"{name:<40} {what}")


@app.command()
def waive(
    by: Annotated[str, typer.Option(help="Who decides that these rows stay behind.")],
    tables: Tables = "",
    reason: Reason = None,
) -> None:
    """Decide that open rows stay behind, by name. They count as dispositioned until they or their problem change."""
    from workbench.migration.replay import waive as settle

    with _quarantine() as quarantine:
        ids: list[Any] = [entry["_id"] for entry in quarantine.entries(tables=_names(tables), reason=reason)]
    typer.echo(f"{settle(load_settings(), ids, by):,} rows waived by {by}.")


def _names(tables: str) -> list[str] | None:
    from workbench.migration.tables import chosen_tables

    names = [name.strip() for name in tables.split(",") if name.strip()] or None
    chosen_tables(names)
    return names


@contextmanager
def _quarantine() -> Iterator[Quarantine]:
    from workbench import connections
    from workbench.migration.quarantine import Quarantine

    settings = load_settings()
    with connections.open_target(settings) as client:
        yield Quarantine(client[settings.mongodb_database])
