"""The ten source tables, in load order: what others refer to comes first."""

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
