"""Cut the sample down to about 3,000 rows that still refer to each other, for tests that migrate again and again.

Two of the audit entries are bad.
"""

from __future__ import annotations

from typing import Any

import psycopg

_STATEMENTS = """
    DELETE FROM investigation_states WHERE investigation_id NOT IN
        (SELECT investigation_id FROM investigation_states ORDER BY investigation_id LIMIT 80);
    DELETE FROM investigation_audit_log WHERE investigation_id NOT IN
        (SELECT investigation_id FROM investigation_states ORDER BY investigation_id LIMIT 60);
    DELETE FROM transaction_scores s USING (SELECT investigation_id, transaction_id,
            row_number() OVER (PARTITION BY investigation_id ORDER BY transaction_id) AS n FROM transaction_scores) k
        WHERE (s.investigation_id, s.transaction_id) = (k.investigation_id, k.transaction_id)
        AND (k.n > 15 OR s.investigation_id NOT IN (SELECT investigation_id FROM investigation_states));
    CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT id FROM detection_runs ORDER BY id LIMIT 500;
    DELETE FROM anomaly_events WHERE run_id NOT IN (SELECT id FROM kept);
    DELETE FROM detection_runs WHERE id NOT IN (SELECT id FROM kept);
    UPDATE anomaly_events SET investigation_id = NULL
        WHERE investigation_id NOT IN (SELECT investigation_id FROM investigation_states);
    DELETE FROM composio_action_audits WHERE id NOT IN (SELECT id FROM composio_action_audits ORDER BY id LIMIT 300);
    DELETE FROM soar_playbook_executions WHERE id NOT IN
        (SELECT id FROM soar_playbook_executions ORDER BY id LIMIT 200);
    UPDATE investigation_audit_log SET changes_json = '{' WHERE entry_id IN
        (SELECT entry_id FROM investigation_audit_log ORDER BY entry_id LIMIT 2);
    DROP SCHEMA workbench_sample CASCADE;
"""


def shrink(connection: psycopg.Connection[Any]) -> None:
    """Delete most of the sample's rows; committed."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no checks of foreign keys row by row
        connection.execute(_STATEMENTS.encode())
