"""The questions of the benchmark: pairs of SQL and MongoDB, all in `WORKLOADS`."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.benchmark.workloads import aggregations, pages, queries, reads, vectors, writes
from workbench.benchmark.workloads.base import Kind, Side, Workload
from workbench.errors import ConfigurationError
from workbench.settings import Settings, TenancyRule

__all__ = ["WORKLOADS", "Kind", "Side", "Workload", "choose"]

WORKLOADS: tuple[Workload, ...] = (
    *reads.WORKLOADS,
    *queries.WORKLOADS,
    *pages.WORKLOADS,
    *aggregations.WORKLOADS,
    *writes.WORKLOADS,
    *vectors.WORKLOADS,
)


def choose(settings: Settings, only: Sequence[str] = ()) -> tuple[Workload, ...]:
    """The workloads that are named, by name, part of a name or kind; all where none is named.

    Questions about all rows of a table without a tenant are left out where tenants are users, since MongoDB would
    answer for one tenant and PostgreSQL for all.

    Raises:
        ConfigurationError: a name matches nothing.
    """
    asked = [w for w in WORKLOADS if not (w.whole_tenant and settings.tenancy_rule is TenancyRule.USER)]
    chosen: list[Workload] = []
    for text in only:
        wanted = text.strip().lower()
        found = [workload for workload in asked if wanted in workload.name or wanted == workload.kind]
        if not found:
            raise ConfigurationError(
                f"No workload is called {text!r}.",
                todo=f"Kinds: {', '.join(Kind)}. Workloads: {', '.join(workload.name for workload in asked)}.",
            )
        chosen += found
    return tuple(dict.fromkeys(chosen)) if only else tuple(asked)
