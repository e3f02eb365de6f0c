"""Proof that the target holds what the source holds, checks of the setup, and the test of the proof itself."""

from workbench.verification.findings import Check, Cluster, Mismatch
from workbench.verification.results import (
    CheckResult,
    MismatchesFound,
    SampleBound,
    TableResult,
    VerificationResult,
)
from workbench.verification.run import ALL_CHECKS, verify

__all__ = [
    "ALL_CHECKS",
    "Check",
    "CheckResult",
    "Cluster",
    "Mismatch",
    "MismatchesFound",
    "SampleBound",
    "TableResult",
    "VerificationResult",
    "verify",
]
