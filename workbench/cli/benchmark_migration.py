"""`workbench benchmark migration`: the migration's speed beside what its servers allow, and beside a plain script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.settings import load_settings

if TYPE_CHECKING:
    from workbench.benchmark.migration_stages import Measurement


def migration(
    scale: Annotated[int, typer.Option(min=1, max=100, help="Of the sample data that is loaded into the target.")] = 1,
    rows: Annotated[int, typer.Option(min=1_000, help="Rows of transaction_scores into the sink.")] = 1_000_000,
    large_rows: Annotated[int, typer.Option(min=0, help="A second such load, to compare its memory.")] = 0,
    all_tables: Annotated[bool, typer.Option("--all-tables", help="Not only transaction_scores.")] = False,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often compared stages take turns.")] = 3,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file as well.")] = None,
    no_goals: Annotated[bool, typer.Option("--no-goals", help="End with 0 though a goal was missed.")] = False,
) -> None:
    """Measure the migration in scratch databases of both servers, which are dropped afterwards.

    Exit code: 0 all goals met, 1 one was missed, 2 usage, 3 could not run.
    """
    from workbench.benchmark.migration import SCORES, benchmark_migration
    from workbench.migration.tables import TABLES

    result = benchmark_migration(
        load_settings(workers=workers),
        tables=tuple(TABLES) if all_tables else SCORES,
        scale=scale,
        rows=rows,
        large_rows=large_rows,
        rounds=rounds,
        on_measurement=_show,
    )
    typer.echo(str(result))
    if json_file:
        json_file.write_text(json.dumps(result.as_dict(), indent=1, default=str) + "\n")
    raise typer.Exit(0 if result.passed or no_goals else 1)


def _show(measurement: Measurement) -> None:
    typer.echo(
        f"{measurement.stage}: {measurement.work.rows:,} rows in {measurement.work.seconds:.1f} s,"
        f" {measurement.rows_per_second:,.0f} rows/s",
        err=True,
    )
