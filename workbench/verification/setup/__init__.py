"""Is the setup fit for the migration and for what runs afterwards? Each check with its evidence and what to do."""

from workbench.verification.setup.results import SetupCheck, SetupResult
from workbench.verification.setup.run import check_setup

__all__ = ["SetupCheck", "SetupResult", "check_setup"]
