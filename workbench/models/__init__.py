"""What is stored: ten documents, each with its COLLECTION spec. Everything else derives from `COLLECTIONS`."""

from workbench.models import (
    anomaly_events,
    audit_log,
    composio_action_audits,
    composio_connections,
    detection_runs,
    detectors,
    investigations,
    soar_playbook_executions,
    templates,
    transaction_scores,
)
from workbench.models.spec import Collection

COLLECTIONS: dict[str, Collection] = {
    module.COLLECTION.name: module.COLLECTION
    for module in (
        investigations,
        templates,
        audit_log,
        detectors,
        detection_runs,
        anomaly_events,
        transaction_scores,
        composio_connections,
        composio_action_audits,
        soar_playbook_executions,
    )
}
"""Name -> spec, in load order."""
