"""The files that completed investigations leave: folders, atomic writes, the registry, packages.

    <workspace_dir>/<tenant>/registry.json          what is there, one entry an investigation
    <workspace_dir>/<tenant>/<investigation>/       investigation.json, audit.jsonl, lint.json, manifest.json,
                                                    completion.json and, for comparison runs, package.zip

A folder's name is the readable part of an id and a hash of all of it, because ids may hold any character.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

_SLUG_CHARACTERS = 60


class Workspace:
    """The folder of one investigation, and its tenant's registry. Blocking: call it in a thread."""

    def __init__(self, root: Path, tenant: str, investigation_id: str) -> None:
        self.investigation_id = investigation_id
        self.tenant_folder = root / folder_name(tenant)
        self.folder = self.tenant_folder / folder_name(investigation_id)

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that readers see the old or the new content, never a part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(self.folder / name, content)

    def facts(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of the files that exist."""
        found = []
        for name in names:
            path = self.folder / name
            if path.is_file():
                content = path.read_bytes()
                found.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        return found

    def pack(self, name: str, members: Iterable[str]) -> int:
        """Write the files that exist into a ZIP archive; the same files give the same bytes. Its size."""
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
            for member in sorted(members):
                path = self.folder / member
                if path.is_file():
                    info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
                    info.compress_type = zipfile.ZIP_DEFLATED
                    package.writestr(info, path.read_bytes())
        self.write(name, archive.getvalue())
        return len(archive.getvalue())

    def register(self, entry: Mapping[str, Any]) -> int:
        """Set this investigation's entry in the tenant's registry; how many entries there are."""
        self.tenant_folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.tenant_folder / "registry.lock"):
            path = self.tenant_folder / "registry.json"
            registry = json.loads(path.read_bytes()) if path.is_file() else {}
            registry[self.investigation_id] = {"folder": self.folder.name, **entry}
            _write_atomically(path, json_bytes(registry))
            return len(registry)


def folder_name(identifier: str) -> str:
    """A folder's name for any id: no separators, no dots alone, unique."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", identifier).strip("-")[:_SLUG_CHARACTERS]
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{slug}-{digest}" if slug else digest


def json_bytes(value: object, *, indent: int | None = 2) -> bytes:
    """JSON with sorted keys; dates in ISO form, what JSON has no type for as text."""
    text = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, default=_as_json)
    return (text + "\n").encode()


def _as_json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _write_atomically(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{uuid4().hex}.draft")  # two writers at once never share one
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
