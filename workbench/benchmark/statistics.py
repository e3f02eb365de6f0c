"""What samples of latency allow to be said: quantiles that they support, and intervals by bootstrap.

A quantile is claimed only where at least `TAIL_SAMPLES` samples are expected beyond it: a P99 needs 500 samples, a
P95 needs 100, a median needs 10. With fewer, the largest sample or two decide the number, and it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from workbench.errors import ConfigurationError

Floats: TypeAlias = npt.NDArray[np.float64]

TAIL_SAMPLES = 5
"""Samples that must be expected beyond a quantile before it is claimed."""
TARGET_QUANTILE = 0.99
JUDGED_QUANTILES = (TARGET_QUANTILE, 0.95, 0.9, 0.75, 0.5)
"""From the one that the targets are about downwards: the first that the samples support is shown. Only the first can
meet a target; any can miss it."""
RESAMPLES = 1_000
CONFIDENCE = 0.95
_RESAMPLED_NUMBERS = 2_000_000  # held at a time: 16 MB


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of the samples."""

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether `value` is outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True)
class Summary:
    """What samples in milliseconds say. A quantile that they do not support is None."""

    samples: int
    mean: float
    median: float
    median_interval: Interval
    p95: float | None
    p99: float | None
    judged_quantile: float | None
    judged_ms: float | None
    judged_interval: Interval | None


def minimum_samples(quantile: float) -> int:
    """Samples that are needed to claim a quantile (0.5 to below 1)."""
    return math.ceil(round(TAIL_SAMPLES / (1 - quantile), 6))


def supports(samples: int, quantile: float) -> bool:
    """Whether so many samples allow to claim a quantile."""
    return samples >= minimum_samples(quantile)


def quantile_of(samples: Sequence[float] | Floats, quantile: float) -> float:
    """A quantile of the samples.

    Raises:
        ConfigurationError: there are too few samples to claim it.
    """
    if not supports(len(samples), quantile):
        raise ConfigurationError(
            f"A P{quantile * 100:g} cannot be claimed from {len(samples)} samples.",
            todo=f"It needs at least {minimum_samples(quantile)}.",
        )
    return float(np.quantile(np.asarray(samples, dtype=np.float64), quantile))


def judged_quantile(samples: int) -> float | None:
    """The highest of `JUDGED_QUANTILES` that so many samples support; None where not even a median is."""
    return next((quantile for quantile in JUDGED_QUANTILES if supports(samples, quantile)), None)


def summarize(samples: Sequence[float], *, seed: int = 0) -> Summary:
    """The summary of at least one sample; the seed makes the intervals repeatable."""
    values = np.asarray(samples, dtype=np.float64)
    chosen = judged_quantile(len(values))
    return Summary(
        samples=len(values),
        mean=float(values.mean()),
        median=float(np.median(values)),
        median_interval=quantile_interval(values, 0.5, seed=seed),
        p95=quantile_of(values, 0.95) if supports(len(values), 0.95) else None,
        p99=quantile_of(values, 0.99) if supports(len(values), 0.99) else None,
        judged_quantile=chosen,
        judged_ms=quantile_of(values, chosen) if chosen else None,
        judged_interval=quantile_interval(values, chosen, seed=seed) if chosen else None,
    )


def quantile_interval(samples: Sequence[float] | Floats, quantile: float, *, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a quantile, at `CONFIDENCE`, from `RESAMPLES` resamples."""
    return _interval(_resampled(np.asarray(samples, dtype=np.float64), quantile, np.random.default_rng(seed)))


def median_ratio(new: Sequence[float], old: Sequence[float], *, seed: int = 0) -> tuple[float, Interval]:
    """The median of `new` over that of `old`, and its bootstrap interval."""
    return float(np.median(new) / np.median(old)), _interval(_resampled_ratios(new, old, seed))


def log_ratio_error(new: Sequence[float], old: Sequence[float], *, seed: int = 0) -> float:
    """The standard error of the logarithm of that ratio, by bootstrap."""
    return float(np.std(np.log(_resampled_ratios(new, old, seed))))


def holm(chances: Sequence[float], error_rate: float) -> list[bool]:
    """Which of many p-values stay significant when at most `error_rate` of such families may hold one false one.

    Holm's step-down rule: the smallest must be below the rate over their number, the next over one less, and so on;
    from the first that is not, none is.
    """
    found = [False] * len(chances)
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        if chances[place] > error_rate / (len(chances) - rank):
            break
        found[place] = True
    return found


def _resampled_ratios(new: Sequence[float], old: Sequence[float], seed: int) -> Floats:
    random = np.random.default_rng(seed)
    news, olds = (np.asarray(samples, dtype=np.float64) for samples in (new, old))
    return _resampled(news, 0.5, random) / _resampled(olds, 0.5, random)


def _resampled(values: Floats, quantile: float, random: np.random.Generator) -> Floats:
    """The quantile of each resample, in slices so that memory does not grow with the samples."""
    rows = max(1, min(RESAMPLES, _RESAMPLED_NUMBERS // len(values)))
    found: list[Any] = []
    for start in range(0, RESAMPLES, rows):
        shape = (min(rows, RESAMPLES - start), len(values))
        found.append(np.quantile(values[random.integers(0, len(values), size=shape)], quantile, axis=1))
    return np.concatenate(found)


def _interval(values: Floats) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))
