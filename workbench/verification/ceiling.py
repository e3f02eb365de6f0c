"""How fast a verification could be at most: the rates at which both sides are read when nothing is compared."""

from __future__ import annotations

import time
from dataclasses import dataclass

from workbench import connections
from workbench.migration.extract import open_snapshot
from workbench.settings import Settings
from workbench.verification.forms import forms_of
from workbench.verification.scan import batches, documents

MAX_ROWS = 50_000


@dataclass(frozen=True)
class Ceiling:
    """Rates in rows or documents a second, of one connection to each side."""

    table: str
    rows: int
    source_rate: float
    target_rate: float

    @property
    def both(self) -> float:
        """Rows a second if one process reads one side after the other."""
        return 1 / (1 / self.source_rate + 1 / self.target_rate) if self.source_rate and self.target_rate else 0.0


def read_ceiling(settings: Settings, table: str) -> Ceiling:
    """Measure how fast both sides of a table can be read; at most `MAX_ROWS` rows of each."""
    forms = forms_of(table, settings)
    rows, began = 0, time.perf_counter()
    with open_snapshot(settings, None) as connection:
        for batch in batches(connection, forms, None):
            rows += len(batch)
            if rows >= MAX_ROWS:
                break
    source_seconds = time.perf_counter() - began
    read, began = 0, time.perf_counter()
    with connections.open_target(settings, bulk=True) as client:
        for _ in documents(client, forms, settings, None):
            read += 1
            if read >= MAX_ROWS:
                break
    return Ceiling(table, rows, rows / source_seconds, read / (time.perf_counter() - began))
