"""`workbench run`, `workbench reports` and `workbench notebooks refresh`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import ConfigurationError
from workbench.reporting.catalogue import find_notebook, notebook_facts, notebooks_dir
from workbench.reporting.parameters import Parameter, describe, parse_assignments
from workbench.settings import load_settings

notebooks_app = typer.Typer(help="The stored notebooks.", no_args_is_help=True)

ReportsDir = Annotated[Path | None, typer.Option(help="Folder of the reports; default: the setting.")]


def run(
    notebook: Annotated[str, typer.Argument(help="Name (02_migrate, or migrate) or path of a notebook.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Parameter; repeatable.")
    ] = None,
    help_notebook: Annotated[
        bool, typer.Option("--help-notebook", help="Show the notebook's parameters and end.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Limit of the notebook, seconds.")] = 3600.0,
    reports_dir: ReportsDir = None,
) -> None:
    """Run a notebook headless and make its report. Exit code: 0 good, 1 found wanting, 2 usage, 3 broke."""
    path = find_notebook(notebook)
    known = describe(path)
    if help_notebook:
        typer.echo(parameter_help(path, known))
        return
    values = parse_assignments(known, parameter or [], notebook=path.stem)
    settings = load_settings()

    # Only now the packages that take a second to import: a typo above is answered at once.
    from workbench import embedded
    from workbench.reporting.console import RunConsole, closing_lines
    from workbench.reporting.runner import run_series

    console = RunConsole()
    record = run_series(
        path.stem,
        [(path, values)],
        reports_dir=reports_dir or settings.reports_dir,
        title=notebook_facts(path).title or path.stem,
        timeout_seconds=timeout,
        on_progress=console,
        secrets=(*settings.secrets(), *embedded.passwords(settings.data_dir)),
    )
    console.close()
    for line in closing_lines(record):
        typer.echo(line)
    raise typer.Exit(record.exit_code)


def reports(
    reports_dir: ReportsDir = None,
    limit: Annotated[int, typer.Option(min=1, help="Runs to list.")] = 20,
) -> None:
    """List the runs, newest first, and refresh their index page."""
    from workbench.reporting.index import refresh_index
    from workbench.reporting.runs import read_runs
    from workbench.reporting.states import look_of

    folder = reports_dir or load_settings().reports_dir
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.", todo="Start a run: workbench demo")
    runs, unreadable = read_runs(folder)
    for found in runs[:limit]:
        look = look_of(found.shown_state)
        typer.echo(f"{found.started_at}  {look.symbol} {look.word:<11}  {found.name:<20}  {found.headline}")
    if unreadable:
        typer.echo(f"Not readable: {', '.join(str(file) for file in unreadable)}", err=True)
    typer.echo(f"{len(runs):,} runs. {refresh_index(folder)}")


@notebooks_app.command()
def refresh(
    names: Annotated[list[str] | None, typer.Argument(help="Notebooks; default: all validated ones.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if a refresh would.")] = False,
) -> None:
    """Execute the validated notebooks again and store the outputs that nbval compares."""
    from workbench.reporting.refresh import refresh_notebook

    if names:
        paths = [find_notebook(name) for name in names]
    else:
        every = (notebook_facts(path) for path in sorted(notebooks_dir().glob("*.ipynb")))
        paths = [facts.path for facts in every if facts.validated]
    changed = [path for path in paths if refresh_notebook(path, write=not check)]
    for path in changed:
        typer.echo(f"{'would change' if check else 'changed'}: {path.name}")
    typer.echo(f"{len(paths)} notebooks, {len(changed)} {'would change' if check else 'changed'}.")
    raise typer.Exit(1 if check and changed else 0)


def parameter_help(path: Path, known: list[Parameter]) -> str:
    """The parameters of a notebook as aligned text: name, type, default, help."""
    facts = notebook_facts(path)
    lines = [f"{facts.name}: {facts.title}", facts.purpose, ""]
    if not known:
        lines.append("It takes no parameters.")
    width = max((len(f"{p.name}: {p.type}") for p in known), default=0)
    lines += [f"  {f'{p.name}: {p.type}':<{width}}  {p.help} (default {p.default!r})" for p in known]
    return "\n".join(lines)
