"""A run as aligned text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.benchmark.concurrency import TIME_ENDED, Load
from workbench.benchmark.environment import is_emulator
from workbench.benchmark.history import SIGNIFICANT_CHANGE, compare_runs, last_comparable, machine_drift
from workbench.benchmark.results import BenchmarkRun, Outcome
from workbench.benchmark.workloads import Side
from workbench.reporting.figures import number_text
from workbench.reporting.states import look_of


def report_lines(run: BenchmarkRun, earlier: Sequence[BenchmarkRun] = ()) -> Iterator[str]:
    """The verdicts, the load, what changed since the last comparable run, and the headline, line by line."""
    yield f"{'workload':<34}{'PostgreSQL':>11}{'MongoDB':>10}{'judged':>8}{'value':>9}{'target':>8}   milliseconds"
    for row in run.verdict_frame().to_dict("records"):
        look = look_of(row["state"])
        yield (
            f"{row['workload']:<34}{number_text(row['PostgreSQL ms']):>11}"
            f"{number_text(row['MongoDB ms']):>10}{row['judged']:>8}{number_text(row['judged ms']):>9}"
            f"{number_text(row['target ms']):>8} {look.symbol} {look.word} {row['reason']}"
        )
    yield from shortage_lines(run)
    yield from completeness_lines(run)
    yield from _load_lines(run)
    for name, plan in run.plans.items():
        for text in [
            *(plan["source"] or {}).get("advice", ()),
            *(a for part in plan["target"] for a in part["advice"]),
        ]:
            yield f"{name}: {text}"
    yield from _history_lines(run, earlier)
    yield headline(run)


def _load_lines(run: BenchmarkRun) -> Iterator[str]:
    """A line for each workload and database: answers a second at each number of clients."""
    if run.loads:
        yield f"{'answers a second by number of clients':<98}errors"
    groups: dict[tuple[str, Side, float | None], list[Load]] = {}
    for load in run.loads:
        groups.setdefault((load.workload, load.side, load.offered_rate), []).append(load)
    for (workload, side, rate), loads in groups.items():
        offered = f", {rate:g} a second offered" if rate else ""
        reached = ", ".join(f"{load.clients}: {number_text(load.throughput)}" for load in loads if load.samples_ms)
        yield (
            f"  {workload + offered:<34}{side:<12}{reached or '–':<50}{sum(sum(one.errors.values()) for one in loads)}"
        )
        for note in dict.fromkeys(load.note for load in loads if load.note and load.note != TIME_ENDED):
            levels = ", ".join(str(load.clients) for load in loads if load.note == note)
            yield f"    with {levels} clients: {note}"
    yield from unmeasured_levels(run)


def unmeasured_levels(run: BenchmarkRun) -> Iterator[str]:
    """How many levels of load the time did not allow, and of how many clients."""
    left = [load for load in run.loads if load.note == TIME_ENDED]
    if left:
        levels = ", ".join(str(level) for level in sorted({load.clients for load in left}))
        yield (
            f"{len(left)} of {len(run.loads)} levels of load, of {levels} clients, were not measured, as the time "
            "ended. Fewer: `workbench benchmark --sweep` or `--clients`."
        )


def headline(run: BenchmarkRun) -> str:
    """How many targets were met, missed, not decided, not measured; how the two compare; what the figures are worth."""
    judged = run.judgements()
    by_outcome = {outcome: [j.workload for j in judged if j.outcome is outcome] for outcome in Outcome}
    product = run.environment["versions"]["mongodb"]
    said = [f"{len(by_outcome[Outcome.PASSED])} of {len(judged)} targets met by {product}"]
    if by_outcome[Outcome.FAILED]:
        said.append(f"{len(by_outcome[Outcome.FAILED])} missed")
    if by_outcome[Outcome.NOT_DECIDED]:
        said.append(f"{len(by_outcome[Outcome.NOT_DECIDED])} not decided for lack of samples")
    if by_outcome[Outcome.NOT_MEASURED]:
        names = ", ".join(by_outcome[Outcome.NOT_MEASURED])
        said.append(f"{len(by_outcome[Outcome.NOT_MEASURED])} not measured ({names})")
    intervals = [interval for _, interval in run.ratios.values()]
    faster, slower = sum(i.high < 1 for i in intervals), sum(i.low > 1 for i in intervals)
    worth = " It is an emulator: its figures say nothing about a MongoDB server." if is_emulator(product) else ""
    return (
        f"{', '.join(said)}. By its median it is faster than PostgreSQL in {faster} workloads, slower in {slower}, "
        f"and neither can be told in {len(intervals) - faster - slower}.{worth}"
    )


def completeness_lines(run: BenchmarkRun) -> Iterator[str]:
    """Rows that MongoDB does not have, and what that means for the answers."""
    for table, rows in run.environment["quarantined"].items():
        yield f"{table}: {rows:,} rows are in quarantine; the answers were compared without them"
    for name, (rows, documents) in run.incomplete().items():
        yield f"{name}: {documents:,} documents for {rows:,} rows to migrate, so some answers must differ"


def shortage_lines(run: BenchmarkRun) -> Iterator[str]:
    """Which workloads have fewer samples than were asked for, and what to do."""
    short = run.cut_short()
    if short:
        least = min(short, key=lambda name: short[name])
        yield (
            f"{len(short)} of {len(run.workloads)} workloads have fewer than the {run.asked_samples:,} samples asked "
            f"for, as the time ended (least: {short[least]:,}, {least}). More time: `workbench benchmark "
            "--seconds`."
        )


def claimed_quantiles(run: BenchmarkRun) -> str:
    """Which quantiles were judged, for how many workloads: `P99: 31` or `P95: 22, P75: 9`."""
    counts: dict[str, int] = {}
    for judgement in run.judgements():
        name = f"P{judgement.quantile * 100:g}" if judgement.quantile else "none"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items(), reverse=True))


def _history_lines(run: BenchmarkRun, earlier: Sequence[BenchmarkRun]) -> Iterator[str]:
    old = last_comparable(run, earlier)
    if old is None:
        return
    changes = compare_runs(run, old)
    moved = [change for change in changes if change.significant]
    yield f"Since {old.started_at[:19]}: {len(moved)} significant changes of {len(changes)}."
    drift = machine_drift(run, old)
    if abs(drift - 1) > SIGNIFICANT_CHANGE:
        yield (
            f"  The machine was not as it was: PostgreSQL's medians are {drift:.2f} times those of then. Ratios are "
            "beyond that."
        )
    for change in moved:
        side = "" if change.side is Side.MONGODB else f" ({change.side})"
        yield (
            f"  {change.workload}{side}: {change.verdict}, {number_text(change.old_ms)} -> "
            f"{number_text(change.new_ms)} ms (ratio {change.low:.2f} to {change.high:.2f})"
        )
