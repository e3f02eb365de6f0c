"""`workbench benchmark`: the operator's questions to both databases; `workbench benchmark similarity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from workbench.errors import ConfigurationError
from workbench.settings import configure_logging, load_settings

DEFAULT_COMMAND = "queries"


class _DefaultGroup(TyperGroup):
    """Runs `queries` where no command is named, so that `workbench benchmark --quick` works."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_DefaultGroup,
    help="Is the target fast enough, and faster than the source? Without a command: queries.",
    no_args_is_help=False,
)


@app.command()
def queries(
    quick: Annotated[
        bool, typer.Option("--quick", help="At most a minute at scale 1; slow questions stay undecided.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Workload, part of its name, or kind, as 'page'; repeatable.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=10, max=1_000_000, help="Samples of each workload and database.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time for the samples; the rest of a run is not in it.")
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0, help="Also send so many questions a second; latency from the intended start.")
    ] = 0.0,
    clients: Annotated[
        str, typer.Option(help="Clients of the sweep, separated by commas; empty: no sweep.")
    ] = "1,4,16,64",
    swept: Annotated[
        list[str] | None,
        typer.Option("--sweep", help="Workload or kind that many clients ask; repeatable. Default: one of each kind."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of parameters and order.")] = None,
    reports_dir: Annotated[Path | None, typer.Option(help="Folder of the reports.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Ask both databases the same questions and judge MongoDB against the targets.

    The targets are P99s, which need 500 samples. Where time allows for fewer, a target may be missed but not met.

    Exit code: 0 no target missed; 1 one missed, an answer that differs, or nothing decided at all; 2 usage; 3 could
    not run. Targets that were not decided or not measured are named.
    """
    levels = _levels(clients)
    settings = load_settings(reports_dir=reports_dir)
    configure_logging(settings)

    # Only now the packages that take a second to import.
    from workbench.benchmark.benchmark import DEFAULT_SEED, FULL_SCOPE, QUICK_SCOPE, run_benchmark, with_options
    from workbench.benchmark.history import read_runs
    from workbench.benchmark.results import write_run
    from workbench.reporting.benchmark_text import report_lines

    scope = with_options(
        QUICK_SCOPE if quick else FULL_SCOPE, samples=samples, seconds=seconds, clients=levels, rate=rate
    )
    run = run_benchmark(settings, scope=scope, only=only or [], seed=DEFAULT_SEED if seed is None else seed)
    earlier = read_runs(settings.reports_dir)
    file = write_run(run, settings.reports_dir)
    if as_json:
        typer.echo(json.dumps(run.as_dict(), default=str))
    else:
        for line in report_lines(run, earlier):
            typer.echo(line)
        typer.echo(f"Results: {file}")
    raise typer.Exit(1 if run.wanting else 0)


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        levels = (0,)
    if any(not 1 <= level <= 1_000 for level in levels):
        raise ConfigurationError(
            f"--clients takes numbers from 1 to 1,000 separated by commas, found {text!r}.", todo="As in 1,4,16,64."
        )
    return levels


@app.command()
def similarity(
    neighbours: Annotated[int, typer.Option(min=1, max=100, help="Neighbours of each anomaly.")] = 10,
) -> None:
    """Measure how relevant similar anomalies are: recall against the incident families of the sample data.

    Exit code: 0 target met, 1 missed, 2 the source holds no sample data, 3 could not run.
    """
    settings = load_settings()
    configure_logging(settings)

    from workbench.similarity.relevance import measure_recall

    recall = measure_recall(settings, k=neighbours)
    typer.echo(str(recall))
    raise typer.Exit(0 if recall.passed else 1)
