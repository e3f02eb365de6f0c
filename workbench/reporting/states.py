"""How a state is shown: a word, a shape and a colour, so that none of the three is needed to tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "wanting", "bad", "busy", "neutral"]

# Okabe-Ito, the colours that people with any form of colour blindness tell apart.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#8A8F98"


@dataclass(frozen=True)
class Look:
    """How a state looks: `symbol` for text and HTML, `marker` and `colour` for figures, `tone` for CSS."""

    word: str
    symbol: str
    marker: str
    colour: str
    tone: Tone


_BY_TONE: dict[Tone, tuple[str, str, str]] = {
    "good": ("✔", "o", GREEN),
    "wanting": ("▲", "^", ORANGE),
    "bad": ("✖", "X", VERMILION),
    "busy": ("●", "D", BLUE),
    "neutral": ("–", "_", GREY),
}

_TONES: dict[str, Tone] = {
    "good": "good",
    "passed": "good",
    "done": "good",
    "completed": "good",
    "success": "good",
    "wanting": "wanting",
    "warned": "wanting",
    "not_decided": "wanting",
    "not_measured": "wanting",
    "retrying": "wanting",
    "failed": "bad",
    "broke": "bad",
    "dead_kernel": "bad",
    "timeout": "bad",
    "interrupted": "bad",
    "running": "busy",
    "pending": "neutral",
    "planned": "neutral",
    "skipped": "neutral",
    "not_applicable": "neutral",
}


def look_of(state: str) -> Look:
    """The look of a state; a state that is not known is shown neutrally under its own name."""
    tone = _TONES.get(state.lower().replace(" ", "_"), "neutral")
    symbol, marker, colour = _BY_TONE[tone]
    return Look(state.replace("_", " "), symbol, marker, colour, tone)
