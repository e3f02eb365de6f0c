"""Named points at which a test can have this process killed, to prove that what is left behind can be continued."""

from __future__ import annotations

import os
import signal

VARIABLE = "WORKBENCH_FAULT"
"""`name` kills at the first arrival at that point, `name:3` at the third."""
_arrivals: dict[str, int] = {}


def reach(name: str) -> None:
    """Kill this process (SIGKILL) if the environment names this point; otherwise do nothing."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point == name:
        _arrivals[name] = _arrivals.get(name, 0) + 1
        if _arrivals[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
