"""Investigation templates: tags as a JSON list in newer rows and separated by commas in older ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.sample.plan import SamplePlan
from workbench.sample.values import DAY, HISTORY_US, REFERENCE_US, Row, dumps, hashes, picks, timestamps

TEMPLATES_IN_BLOCK = 1_000

_SUBJECTS = ("Account takeover", "Card testing", "Geldwäsche", "Refund abuse", "Bot sign-ups", "Mule accounts")
_SCOPES = ("EMEA", "LATAM", "café & retail", "high value", "night shift", "new devices")
_TAGS = ("ato", "cards", "aml", "refunds", "bots", "mules", "priority", "équipe-nuit", "quarterly")


def template_names(plan: SamplePlan, index: list[int]) -> list[str]:
    """The name of each template, unique in the sample."""
    return [f"{_SUBJECTS[number % 6]} – {_SCOPES[number // 6 % 6]} v{number // 36}" for number in index]


def template_rows(plan: SamplePlan) -> Iterator[list[Row]]:
    """Blocks of `investigation_templates`."""
    for start in range(0, plan.templates, TEMPLATES_IN_BLOCK):
        index = np.arange(start, min(start + TEMPLATES_IN_BLOCK, plan.templates), dtype=np.int64)
        created = REFERENCE_US - HISTORY_US + index * (HISTORY_US - 30 * DAY) // plan.templates
        updated = created + picks(plan.seed, "template updated", index, 15 * DAY)
        used = updated + picks(plan.seed, "template used", index, 15 * DAY)
        yield [
            (
                template_id,
                user_id,
                name,
                None if bits % 4 == 0 else f"Steps for “{name}”.\nSecond line:\ttabbed, with a \\ in it.",
                _tags(bits, old=2 * number < plan.templates),
                _template(number, bits),
                str(bits % 400 if bits & 1 else 0),
                last_used if bits & 1 else None,
                created_at,
                updated_at,
            )
            for number, template_id, user_id, name, bits, last_used, created_at, updated_at in zip(
                index.tolist(),
                plan.template_ids(index),
                plan.user_ids("template user", index),
                template_names(plan, index.tolist()),
                hashes(plan.seed, "template", index).tolist(),
                timestamps(used),
                timestamps(created),
                timestamps(updated),
                strict=True,
            )
        ]


def _tags(bits: int, *, old: bool) -> str | None:
    chosen = [tag for place, tag in enumerate(_TAGS) if bits >> (10 + 2 * place) & 3 == 0]
    if not chosen:
        return "" if bits & 2 else None
    return ", ".join(chosen) if old else dumps(chosen)


def _template(number: int, bits: int) -> str:
    return dumps(
        {
            "entity_type": ("user_id", "device_id", "ip")[bits % 3],
            "lookback_days": 7 * (1 + bits % 12),
            "steps": [
                {"order": order, "tool": tool, "timeout_seconds": 30.5 * order, "required": order == 1}
                for order, tool in enumerate(("snowflake_query", "splunk_search", "device_graph"), start=1)
            ],
            "thresholds": {"risk_score": round((bits >> 16) % 1000 / 1000, 3), "confidence": 0.7},
            "revision": number % 9,
        }
    )
