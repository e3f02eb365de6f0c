"""Every notebook runs on real servers with its defaults; those with stored outputs must give them again (nbval)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.reporting.catalogue import catalogue
from workbench.settings import Settings

CELL_TIMEOUT_SECONDS = 240
SANITIZE = Path(__file__).with_name("sanitize.cfg")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("validated", [True, False], ids=["outputs compared", "executed"])
def test_notebooks(validated: bool, migrated_settings: Settings, repository_root: Path, tmp_path: Path) -> None:
    chosen = [facts.path for facts in catalogue(repository_root / "notebooks") if facts.validated is validated]
    assert chosen
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", "--noconftest"),
            *("-c", os.devnull, "--rootdir", str(repository_root)),
            "--nbval" if validated else "--nbval-lax",
            *("--nbval-current-env", "--nbval-cell-timeout", str(CELL_TIMEOUT_SECONDS)),
            *("--nbval-sanitize-with", str(SANITIZE)),
            *map(str, chosen),
        ],
        cwd=tmp_path,
        env=os.environ | _variables(migrated_settings, tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _variables(settings: Settings, folder: Path) -> dict[str, str]:
    assert settings.database_url
    assert settings.mongodb_uri
    return {
        "WORKBENCH_DATABASE_URL": settings.database_url.get_secret_value(),
        "WORKBENCH_MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "WORKBENCH_MONGODB_DATABASE": settings.mongodb_database,
        "WORKBENCH_WORKERS": "1",
        "WORKBENCH_REPORTS_DIR": str(folder / "reports"),
        "WORKBENCH_WORKSPACE_DIR": str(folder / "workspace"),
        "WORKBENCH_PROGRESS": "silent",
    }
