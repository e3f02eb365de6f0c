"""Settle quarantined rows that were loaded or are gone: the entry and the ledger change together, however it ends.

The two stand in different documents. An entry is settled first and names its settlement; then the ledger moves the
counts, once for each name; then the entry forgets the name. Whoever writes next finishes what a kill left behind.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from workbench import faults
from workbench.migration.ledger import Ledger
from workbench.migration.quarantine import LOADED, Quarantine

_PENDING = "pending"


def settle(quarantine: Quarantine, ledger: Ledger, ids: Sequence[Any], state: str, by: str) -> None:
    """Give open entries the state `loaded` or `gone`, and move their counts in the ledger."""
    if ids:
        quarantine.settle(ids, state, by, **{_PENDING: secrets.token_hex(8)})
        faults.reach("replay.settled")
        finish(quarantine, ledger)


def finish(quarantine: Quarantine, ledger: Ledger) -> None:
    """Account for settled entries that the ledger does not know yet."""
    moves: Counter[tuple[str, str, str]] = Counter()
    fields = {_PENDING: 1, "partition": 1, "state": 1}
    for entry in quarantine.collection.find({_PENDING: {"$exists": True}}, fields):
        moves[entry[_PENDING], entry["partition"], entry["state"]] += 1
    for (settlement, partition, state), rows in moves.items():
        ledger.move_from_quarantine(partition, settlement, **{"loaded" if state == LOADED else "gone": rows})
    faults.reach("replay.accounted")
    if moves:
        names = sorted({settlement for settlement, _, _ in moves})
        quarantine.collection.update_many({_PENDING: {"$in": names}}, {"$unset": {_PENDING: ""}})
