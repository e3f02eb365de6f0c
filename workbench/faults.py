"""Points at which a test may kill the process: what is done between two of them must survive a kill -9.

The variable WORKBENCH_FAULT names a point; the process ends there as if its power had gone. `name` kills at the
first arrival at that point, `name:3` at the third. Without the variable a point costs one look-up.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "WORKBENCH_FAULT"
_arrivals: dict[str, int] = {}


def reach(point: str) -> None:
    """Pass a point, or end the process by SIGKILL if the variable names it."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    if name == point:
        _arrivals[point] = _arrivals.get(point, 0) + 1
        if _arrivals[point] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
