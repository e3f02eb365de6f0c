"""`workbench schema`: collections, indexes and validators of the target."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.settings import load_settings


def schema(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what is missing; exit 1 if anything is.")] = False,
) -> None:
    """Create the collections, indexes and validators that are missing in the target."""
    from workbench import connections
    from workbench import schema as target_schema

    settings = load_settings()
    with connections.open_target(settings, bulk=True) as client:
        database = client[settings.mongodb_database]
        planned = target_schema.plan(database, settings)
        if plan:
            typer.echo(str(planned))
            raise typer.Exit(1 if planned.steps or planned.conflicts else 0)
        done = target_schema.apply(database, planned, on_step=lambda step: typer.echo(str(step)))
        typer.echo(f"{len(done)} steps done." if done else "Nothing to do: the target matches the specs.")
