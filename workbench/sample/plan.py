"""How many rows of what a sample has, and who is in it: sizes, users, tenants, and identifiers by index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt

from workbench.sample.values import Hashes, Ints, hashes, zipf_picks

_GIVEN = ("amira", "jörg", "chloé", "wei", "olena", "diego", "priya", "søren", "naïm", "łucja", "kenji", "fatma")
_BANKS = ("atlas", "boréal", "cumbre", "dnipro", "ember", "fjord", "ganges", "harbor", "iguazú", "jade", "kilima")


@dataclass(frozen=True)
class SamplePlan:
    """Sizes of a sample. Large tables grow linearly with the scale, configuration tables more slowly."""

    scale: int
    seed: int

    @property
    def investigations(self) -> int:
        return 1_200 * self.scale

    @property
    def templates(self) -> int:
        return 150 * self.scale

    @property
    def detectors(self) -> int:
        return round(40 * math.pow(self.scale, 0.5))

    @property
    def runs_per_detector(self) -> int:
        return 4_000 * self.scale // self.detectors

    @property
    def runs(self) -> int:
        return self.runs_per_detector * self.detectors

    @property
    def anomalies(self) -> int:
        return 4_000 * self.scale

    @property
    def connections(self) -> int:
        return round(60 * math.pow(self.scale, 0.7))

    @property
    def actions(self) -> int:
        return 3_500 * self.scale

    @property
    def executions(self) -> int:
        return 1_500 * self.scale

    @property
    def users(self) -> int:
        return round(40 * math.pow(self.scale, 0.6))

    @property
    def tenants(self) -> int:
        return round(9 * math.pow(self.scale, 0.4))

    def expected_rows(self) -> dict[str, int]:
        """Good rows of each table: exact, but for the audit log and the scores, where they are estimates."""
        return {
            "investigation_states": self.investigations,
            "investigation_templates": self.templates,
            "investigation_audit_log": round(7.75 * self.investigations),
            "detectors": self.detectors,
            "detection_runs": self.runs,
            "anomaly_events": self.anomalies,
            "transaction_scores": 30 * self.investigations,
            "composio_connections": self.connections,
            "composio_action_audits": self.actions,
            "soar_playbook_executions": self.executions,
        }

    def user_ids(self, name: str, index: npt.ArrayLike) -> list[str]:
        """A user for each index; few users have most of the rows."""
        numbers = zipf_picks(self.seed, name, index, self.users)
        return [f"{_GIVEN[number % len(_GIVEN)]}.{number:05d}" for number in numbers.tolist()]

    def tenant_id(self, number: int) -> str:
        return f"{_BANKS[number % len(_BANKS)]}-{number:04d}"

    def investigation_ids(self, index: Ints) -> list[str]:
        """The identifier of each investigation; ascending with its time, as most systems number their cases."""
        return self._ids("inv", index)

    def execution_ids(self, index: Ints) -> list[str]:
        return self._ids("exec", index)

    def template_ids(self, index: Ints) -> list[str]:
        return self._ids("tpl", index)

    def action_audit_ids(self, index: Ints) -> list[str]:
        return self._ids("audit", index)

    def _ids(self, prefix: str, index: Ints) -> list[str]:
        suffixes: Hashes = hashes(self.seed, prefix, index)
        return [
            f"{prefix}-{number:08x}-{suffix & 0xFFFFFFFF:08x}"
            for number, suffix in zip(index.tolist(), suffixes.tolist(), strict=True)
        ]
