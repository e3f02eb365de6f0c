"""What of an anomaly makes it like another: its metric, its cohort, its evidence, how far it was off.

The embedder hashes these features; the search explains a hit by those that two anomalies share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MAX_WORDS = 400
"""Words of evidence that are read; longer evidence counts by its beginning."""
MAX_LEAVES = 400
_CACHED = 1 << 16
_WORD = re.compile(r"\w+")


def cohort_pairs(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The cohort as (key, value) texts in the order of the keys; a nested value as its text."""
    return [(str(key), str(value)) for key, value in sorted((event.get("cohort") or {}).items())]


def leaves(evidence: Any) -> list[tuple[str, Any]]:
    """(path, scalar) of the first leaves of a JSON value, list positions left out. Iterative: any depth is safe."""
    stack: list[tuple[str, Any]] = [("", evidence)]
    found: list[tuple[str, Any]] = []
    while stack and len(found) < MAX_LEAVES:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{path}.{key}", value[key]) for key in reversed(value)]
        elif isinstance(value, list):
            stack += [(path, child) for child in reversed(value)]
        elif value is not None:
            found.append((path, value))
    return found


@lru_cache(maxsize=_CACHED)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, case-folded, without those that are mere numbers or single letters."""
    found = _WORD.findall(text[:20_000].casefold())
    return tuple(word for word in found if len(word) > 1 and not word.isdigit())[:MAX_WORDS]


def evidence_words(event: Mapping[str, Any]) -> set[str]:
    """The words of the evidence's texts."""
    found: set[str] = set()
    for _, value in leaves(event.get("evidence")):
        if isinstance(value, str):
            found.update(words(value))
    return found


def number(value: Any) -> float | None:
    """A float, Decimal or BSON decimal as a finite float, or None."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value.to_decimal() if hasattr(value, "to_decimal") else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def deviation(event: Mapping[str, Any]) -> tuple[str, int] | None:
    """Direction and size of the deviation: ("up", 2) where observed is about 2**2 - 1 times the expectation above it.

    The size is the rounded base-2 logarithm of one plus the relative deviation, at most 16.
    """
    observed, expected = number(event.get("observed")), number(event.get("expected"))
    if observed is None or expected is None:
        return None
    difference = observed - expected
    if difference == 0:
        return "none", 0
    relative = abs(difference) / max(abs(expected), 1e-9)
    return ("up" if difference > 0 else "down"), round(min(16.0, math.log2(1 + relative)))


def sentence(event: Mapping[str, Any]) -> str:
    """The anomaly as one text for a language model: metric, cohort, deviation, severity, evidence."""
    parts = [str(event.get("metric") or "").replace("_", " ")]
    parts += [f"{key} {value}" for key, value in cohort_pairs(event)]
    off = deviation(event)
    if off:
        parts.append(f"{off[0]} by factor {2 ** off[1]}")
    parts.append(str(event.get("severity") or ""))
    texts = [str(value) for _, value in leaves(event.get("evidence")) if isinstance(value, str)]
    return ". ".join(part for part in [*parts, *texts] if part)
