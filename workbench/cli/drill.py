"""`workbench drill`: disturb migrations into a scratch database, resume them, and compare the results."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from workbench.errors import ConfigurationError
from workbench.settings import configure_logging, load_settings


def drill(
    points: Annotated[int, typer.Option(min=1, max=10_000, help="Strikes.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides their kinds and times.")] = 0,
    tables: Annotated[str, typer.Option(help="Source tables, separated by commas; default: all ten.")] = "",
    kinds: Annotated[str, typer.Option(help="Strikes to choose from, for example WORKER,TARGET; default: all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Prove on these servers that a migration survives kills, dropped connections, Ctrl-C and a full disk.

    Works in a scratch target database, named like the configured one with `_drill` behind it. Only embedded servers
    are killed.

    Exit code: 0 every result is that of an undisturbed run, 1 one is not, 2 usage, 3 could not run.
    """
    from workbench.migration.drill import Point
    from workbench.migration.drill import drill as run_drill
    from workbench.migration.strikes import Strike

    def show(point: Point) -> None:
        typer.echo(
            f"{point.strike.value:<34}after {point.after_seconds:6.1f} s, resumed {point.resumed} times, "
            f"{'; '.join(point.problems) or 'identical'}",
            err=as_json,
        )

    settings = load_settings()
    configure_logging(settings)
    unknown = [name for name in _names(kinds) if name not in Strike.__members__]
    if unknown:
        raise ConfigurationError(
            f"Unknown strike {', '.join(unknown)}.", todo=f"Choose from: {', '.join(Strike.__members__)}."
        )
    chosen = tuple(Strike[name] for name in _names(kinds)) or tuple(Strike)
    result = run_drill(settings, points=points, seed=seed, kinds=chosen, tables=_names(tables) or None, on_point=show)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        for kind, reason in result.not_run.items():
            typer.echo(f"{kind.value:<34}not run: {reason}")
        typer.echo(
            f"{'PASSED' if result.passed else 'FAILED'}: {len(result.points)} strikes, {result.missed} came too late"
        )
    raise typer.Exit(0 if result.passed else 1)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
