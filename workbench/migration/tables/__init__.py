"""The ten source tables, in load order: what others refer to comes first."""

from collections.abc import Iterable

from workbench.errors import ConfigurationError
from workbench.migration.tables import (
    anomaly_events,
    composio_action_audits,
    composio_connections,
    detection_runs,
    detectors,
    investigation_audit_log,
    investigation_states,
    investigation_templates,
    soar_playbook_executions,
    transaction_scores,
)
from workbench.migration.tables.table import Table

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        investigation_states,
        investigation_templates,
        investigation_audit_log,
        detectors,
        detection_runs,
        anomaly_events,
        transaction_scores,
        composio_connections,
        composio_action_audits,
        soar_playbook_executions,
    )
}
"""Name of the source table -> its spec."""


def chosen_tables(names: Iterable[str] | None) -> list[Table]:
    """The tables with these names in load order; all for None.

    Raises:
        ConfigurationError: a name is unknown.
    """
    wanted = list(TABLES if names is None else names)
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        raise ConfigurationError(f"Unknown table {', '.join(unknown)}.", todo=f"Choose from: {', '.join(TABLES)}.")
    return [table for name, table in TABLES.items() if name in wanted]
