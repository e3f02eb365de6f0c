"""`workbench verify` and `workbench check`: is the data right, is the setup fit."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.errors import ConfigurationError
from workbench.progress import progress
from workbench.settings import Settings, configure_logging, load_settings

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON into this file.")]


def verify(
    tables: Annotated[str, typer.Option(help="Source tables, separated by commas; default: all ten.")] = "",
    sample: Annotated[int, typer.Option(min=0, help="Compare only about N random rows; 0 compares all.")] = 0,
    since_run: Annotated[
        str, typer.Option(help="Check again only what this run found wrong; `last` is the newest.")
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that was interrupted.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses the sample, and the rows of the self-test.")] = 1,
    gates: Annotated[
        bool, typer.Option(help="End with the sign-off gates; a failed one makes the exit code 1.")
    ] = True,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant defects in a scratch copy and see whether each is found.")
    ] = False,
    write_checks: Annotated[
        bool, typer.Option("--write-checks", help="Let the setup gate try writes, in a scratch database.")
    ] = False,
    clean_runs: Annotated[int, typer.Option(min=0, help="Self-test: clean runs that must raise no alarm.")] = 20,
    waive: Annotated[
        str, typer.Option(help="Sign a waiver for what this gate found last, and end; needs --who and --reason.")
    ] = "",
    who: Annotated[str, typer.Option(help="Who signs the waiver.")] = "",
    reason: Annotated[str, typer.Option(help="Why the gate may fail.")] = "",
    json_file: JsonFile = None,
) -> None:
    """Compare every field of every row with its document, and end with the sign-off gates. Nothing is changed.

    Exit code: 0 all good, 1 found wanting or nothing checked, 2 usage, 3 could not run. A part that is good (some
    tables, a sample, what was wrong before) is 0 as well, since it was asked for, but is never a sign-off.
    """
    _refuse_mixed(
        {"--waive": waive, "--self-test": self_test},
        {"--tables": tables, "--sample": sample, "--since-run": since_run, "--resume": resume},
    )
    if since_run and (resume or sample):
        raise ConfigurationError("--since-run goes neither with --resume nor with --sample.", todo="Choose one.")
    if (who or reason) and not waive:
        raise ConfigurationError("--who and --reason sign a waiver.", todo="Name its gate with --waive.")
    settings = load_settings(workers=workers)
    configure_logging(settings)
    if waive:
        _waive(settings, waive, who, reason)
        return
    if self_test:
        _self_test(settings, seed, clean_runs, json_file)
    from workbench import connections
    from workbench.verification import gates as sign_off
    from workbench.verification import verify as compare
    from workbench.verification.setup import check_setup
    from workbench.verification.waivers import read_waivers

    waivers = read_waivers()
    names = [name.strip() for name in tables.split(",") if name.strip()] or None
    with (
        _interruptible("The tables that were finished are kept; `workbench verify --resume` goes on from there."),
        progress(None, "verify") as bar,
    ):
        result = compare(
            settings, tables=names, sample=sample, seed=seed, since_run=since_run, resume=resume,
            on_progress=lambda table, read: bar.update(read),
        )  # fmt: skip
    typer.echo(result.text())
    report: dict[str, Any] = result.as_dict()
    good = result.passed
    if gates:
        setup = check_setup(settings, write=write_checks)
        with connections.open_target(settings) as client:
            judged = sign_off.judge(
                result,
                client[settings.mongodb_database],
                setup=setup,
                waivers=waivers,
                reports_dir=settings.reports_dir,
            )
        typer.echo(f"\n{judged.text()}")
        report |= {name: value for name, value in judged.as_dict().items() if name != "passed"}
        good = judged.passed and bool(result.tables)
    _write(json_file, report)
    raise typer.Exit(0 if good else 1)


def check(
    write: Annotated[bool, typer.Option(help="Also try writes, in a scratch database that is dropped again.")] = True,
    json_file: JsonFile = None,
) -> None:
    """Check whether both servers are fit for the migration; each finding with its evidence and what to do.

    Exit code: 0 nothing failed (warnings count as good), 1 a check failed, 2 usage, 3 could not run.
    """
    from workbench.verification.setup import check_setup

    settings = load_settings()
    configure_logging(settings)
    result = check_setup(settings, write=write)
    typer.echo(result.text())
    _write(json_file, result.as_dict())
    raise typer.Exit(0 if result.passed else 1)


def _refuse_mixed(modes: dict[str, Any], options: dict[str, Any]) -> None:
    """An option that would be ignored is refused: who gave it believes that it did something."""
    chosen, given = ([name for name, value in those.items() if value] for those in (modes, options))
    if len(chosen) > 1 or (chosen and given):
        raise ConfigurationError(
            f"{chosen[0]} does not go with {', '.join([*chosen[1:], *given])}.", todo="Run one after the other."
        )


@contextlib.contextmanager
def _interruptible(what_now: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. {what_now}", err=True)
        raise typer.Exit(3) from None


def _waive(settings: Settings, gate: str, who: str, reason: str) -> None:
    from workbench import connections
    from workbench.verification import state
    from workbench.verification.gates import GATES
    from workbench.verification.waivers import WAIVERS_FILE, add_waiver

    if gate not in GATES:
        raise ConfigurationError(f"There is no gate {gate!r}.", todo=f"Gates: {', '.join(GATES)}.")
    with connections.open_target(settings) as client:
        run_id, gates = state.last_gates(client[settings.mongodb_database])
    found = next((one for one in gates if one["name"] == gate and one["status"] == "failed"), None)
    if found is None:
        raise ConfigurationError(
            f"The gate {gate} did not fail in run {run_id}, so there is nothing to waive.",
            todo="A waiver is for what was found: verify again if something else is wrong now.",
        )
    finding = found["finding"] or found["evidence"]
    typer.echo(f"{WAIVERS_FILE}: {add_waiver(gate, who, reason, finding).line()}")


def _self_test(settings: Any, seed: int, clean_runs: int, json_file: Path | None) -> None:
    from workbench.verification.self_test import self_test

    with (
        _interruptible("The scratch copy was dropped; the same command begins anew."),
        progress(None, "self-test", "plantings") as bar,
    ):
        result = self_test(settings, seed=seed, clean_runs=clean_runs, on_progress=lambda what: bar.update(1))
    typer.echo(result.text())
    _write(json_file, result.as_dict())
    raise typer.Exit(0 if result.passed else 1)


def _write(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(report, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
