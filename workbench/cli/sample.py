"""`workbench sample`: create the source schema and fill it with sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ConfigurationError
from workbench.settings import load_settings

if TYPE_CHECKING:
    import psycopg
    from tqdm import tqdm

    from workbench import sample


def sample_data(
    scale: Annotated[int, typer.Option(min=1, help="Size: 1 is about 60,000 rows, 1000 about 60 million.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same rows.")] = None,
    dirty: Annotated[float, typer.Option(min=0, max=0.5, help="Fraction of the rows that are bad: 0.01 is 1 %.")] = 0.0,
    drop: Annotated[bool, typer.Option("--drop", help="Drop the ten tables of an earlier sample first.")] = False,
) -> None:
    """Create the ten source tables and fill them with deterministic sample data."""
    from tqdm import tqdm

    from workbench import sample
    from workbench.connections import open_source

    with open_source(load_settings()) as connection:
        if drop:
            _refuse_to_drop_real_data(connection)
            sample.drop_schema(connection)
        sample.create_schema(connection, strict=not dirty)
        with tqdm(unit=" rows", unit_scale=True) as bar:
            manifest = sample.fill(
                connection,
                scale=scale,
                seed=sample.DEFAULT_SEED if seed is None else seed,
                dirty=dirty,
                progress=_shown_on(bar),
            )
    for table, rows in manifest.rows.items():
        typer.echo(f"{table:<26}{rows:>14,}")
    planted = sum(manifest.planted.values())
    if planted:
        typer.echo(f"{'planted bad rows':<26}{planted:>14,} of {len(manifest.planted)} kinds")
    total = sum(manifest.rows.values())
    typer.echo(f"{total:,} rows in {manifest.seconds:.1f} s ({total / manifest.seconds:,.0f} rows/s)")


def _refuse_to_drop_real_data(connection: psycopg.Connection) -> None:
    from workbench import sample
    from workbench.sample.ddl import filled_tables

    filled = filled_tables(connection)
    if filled and sample.read_manifest(connection) is None:
        raise ConfigurationError(
            f"The rows in {', '.join(filled)} were not made by workbench sample: they are not dropped.",
            todo="Check WORKBENCH_DATABASE_URL; to drop real data, use PostgreSQL's own tools.",
        )


def _shown_on(bar: tqdm) -> sample.Progress:
    def show(table: str, done: int, expected: int) -> None:
        if bar.desc != f"{table}: ":
            bar.reset(total=expected)
            bar.set_description(table)
        bar.total = expected
        bar.update(done - bar.n)

    return show
