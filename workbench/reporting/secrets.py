"""The second line of defence against secrets in reports: what the caller names is cut out wherever it appears.

The first line is that secrets never reach a notebook. So a find is a defect, and the run that had it fails.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

REMOVED = "[secret removed]"
_LEAST_CHARACTERS = 4  # shorter ones would be found in innocent text
_TEXT_FILES = frozenset({".ipynb", ".json", ".csv", ".html", ".txt", ".log", ".md"})


class Scrubber:
    """Replaces secret values by a mark and remembers that it found one (`found`)."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.found = False
        forms = {form for secret in secrets if _is_secret(secret) for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without secrets, in any of their written forms (plain, JSON, HTML, percent-encoded)."""
        for form in self._forms:
            if form in text:
                self.found = True
                text = text.replace(form, REMOVED)
        return text

    def tree(self, value: Any) -> Any:
        """Dicts and lists with every text in them scrubbed, keys too."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.tree(key): self.tree(item) for key, item in value.items()}
        return [self.tree(item) for item in value] if isinstance(value, list | tuple) else value

    def folder(self, folder: Path) -> None:
        """Scrub every text file under `folder` in place."""
        for file in folder.rglob("*"):
            if file.suffix in _TEXT_FILES:
                self.file(file)

    def file(self, file: Path) -> None:
        """Scrub a text file in place, if it is there."""
        if self._forms and file.is_file():
            before = file.read_text(encoding="utf-8", errors="surrogateescape")
            after = self.text(before)
            if after != before:
                file.write_text(after, encoding="utf-8", errors="surrogateescape")


def _is_secret(secret: str) -> bool:
    without_password = "://" in secret and urlsplit(secret).password is None
    return len(secret) >= _LEAST_CHARACTERS and not without_password


def _forms(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe=""), repr(secret)[1:-1]}
