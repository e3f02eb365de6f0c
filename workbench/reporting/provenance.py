"""What a run was made with: versions of Python and packages, and the commit. Nothing about the host."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

PACKAGES = ("investigation-workbench", "papermill", "ipykernel", "pymongo", "psycopg", "pandas", "matplotlib")


@cache
def package_versions() -> dict[str, str]:
    """Python and the packages that a run depends on; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_sha(folder: Path) -> str:
    """The commit checked out where `folder` is, twelve digits; an empty text outside of git."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        asked = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
