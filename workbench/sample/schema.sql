-- The source system: ten tables as its production database has them. Timestamps without a zone hold UTC.
-- References between services (an audit entry's or a score's investigation) were never foreign keys there.

CREATE TABLE IF NOT EXISTS investigation_states (
    investigation_id varchar(255) PRIMARY KEY CHECK (investigation_id <> ''),
    user_id          varchar(255) NOT NULL CHECK (user_id <> ''),
    lifecycle_stage  varchar(50)  NOT NULL
        CHECK (lifecycle_stage IN ('CREATED', 'SETTINGS', 'IN_PROGRESS', 'COMPLETED')),
    settings_json    text,
    progress_json    text,
    status           varchar(50)  NOT NULL
        CHECK (status IN ('CREATED', 'SETTINGS', 'IN_PROGRESS', 'COMPLETED', 'ERROR', 'CANCELLED')),
    version          integer      NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at       timestamp    NOT NULL,
    updated_at       timestamp    NOT NULL,
    last_accessed    timestamp
);
CREATE INDEX IF NOT EXISTS ix_investigation_states_user_id ON investigation_states (user_id);
CREATE INDEX IF NOT EXISTS ix_investigation_states_status ON investigation_states (status);
CREATE INDEX IF NOT EXISTS ix_investigation_states_updated_at ON investigation_states (updated_at);
CREATE INDEX IF NOT EXISTS ix_investigation_states_lifecycle_stage ON investigation_states (lifecycle_stage);

CREATE TABLE IF NOT EXISTS investigation_templates (
    template_id   text PRIMARY KEY CHECK (template_id <> ''),
    user_id       text      NOT NULL CHECK (user_id <> ''),
    name          text      NOT NULL CHECK (name <> ''),
    description   text,
    tags          text, -- a JSON list in newer rows, comma-separated in older ones
    template_json text      NOT NULL,
    usage_count   integer   NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
    last_used     timestamp,
    created_at    timestamp NOT NULL,
    updated_at    timestamp NOT NULL,
    UNIQUE (user_id, name)
);

CREATE TABLE IF NOT EXISTS investigation_audit_log (
    entry_id            varchar(255) PRIMARY KEY CHECK (entry_id <> ''),
    investigation_id    varchar(255) NOT NULL,
    user_id             varchar(255) NOT NULL CHECK (user_id <> ''),
    action_type         varchar(50)  NOT NULL
        CHECK (action_type IN ('CREATED', 'UPDATED', 'DELETED', 'STATE_CHANGE', 'SETTINGS_CHANGE')),
    changes_json        text,
    state_snapshot_json text,
    source              varchar(50)  NOT NULL CHECK (source IN ('UI', 'API', 'SYSTEM', 'WEBHOOK', 'POLLING')),
    from_version        integer CHECK (from_version >= 0),
    to_version          integer CHECK (to_version >= 1),
    timestamp           timestamp    NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_investigation_audit_log_investigation_id ON investigation_audit_log (investigation_id);
CREATE INDEX IF NOT EXISTS ix_investigation_audit_log_user_id ON investigation_audit_log (user_id);
CREATE INDEX IF NOT EXISTS ix_investigation_audit_log_timestamp ON investigation_audit_log (timestamp);
CREATE INDEX IF NOT EXISTS ix_investigation_audit_log_action_type ON investigation_audit_log (action_type);

CREATE TABLE IF NOT EXISTS detectors (
    id         uuid PRIMARY KEY,
    name       text        NOT NULL,
    type       text        NOT NULL,
    cohort_by  jsonb       NOT NULL,
    metrics    jsonb       NOT NULL,
    params     jsonb,
    enabled    boolean     NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS detection_runs (
    id          uuid PRIMARY KEY,
    detector_id uuid        NOT NULL REFERENCES detectors (id),
    status      text        NOT NULL CHECK (status IN ('queued', 'running', 'success', 'failed')),
    started_at  timestamptz NOT NULL,
    finished_at timestamptz CHECK (finished_at >= started_at),
    window_from timestamptz NOT NULL,
    window_to   timestamptz NOT NULL,
    info        jsonb,
    CHECK (window_to >= window_from)
);
CREATE INDEX IF NOT EXISTS ix_detection_runs_detector_id ON detection_runs (detector_id);
CREATE INDEX IF NOT EXISTS ix_detection_runs_started_at ON detection_runs (started_at);

CREATE TABLE IF NOT EXISTS anomaly_events (
    id               uuid PRIMARY KEY,
    run_id           uuid        NOT NULL REFERENCES detection_runs (id),
    detector_id      uuid        NOT NULL REFERENCES detectors (id),
    investigation_id text,
    cohort           jsonb       NOT NULL,
    window_start     timestamptz NOT NULL,
    window_end       timestamptz NOT NULL,
    metric           text        NOT NULL,
    observed         numeric     NOT NULL,
    expected         numeric     NOT NULL,
    score            double precision NOT NULL CHECK (score >= 0 AND score < 'Infinity'),
    severity         text        NOT NULL CHECK (severity IN ('info', 'warn', 'critical')),
    status           text        NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'triaged', 'closed')),
    persisted_n      integer     NOT NULL DEFAULT 1 CHECK (persisted_n >= 0),
    evidence         jsonb,
    created_at       timestamptz NOT NULL,
    CHECK (window_end >= window_start)
);
CREATE INDEX IF NOT EXISTS ix_anomaly_events_run_id ON anomaly_events (run_id);
CREATE INDEX IF NOT EXISTS ix_anomaly_events_detector_id ON anomaly_events (detector_id);
CREATE INDEX IF NOT EXISTS ix_anomaly_events_investigation_id ON anomaly_events (investigation_id);
CREATE INDEX IF NOT EXISTS ix_anomaly_events_created_at ON anomaly_events (created_at);

CREATE TABLE IF NOT EXISTS transaction_scores (
    investigation_id text,
    transaction_id   text CHECK (transaction_id <> ''),
    risk_score       double precision NOT NULL CHECK (risk_score >= 0 AND risk_score <= 1),
    created_at       timestamp        NOT NULL,
    PRIMARY KEY (investigation_id, transaction_id)
);

CREATE TABLE IF NOT EXISTS composio_connections (
    id                     varchar(36) PRIMARY KEY,
    tenant_id              text         NOT NULL CHECK (tenant_id <> ''),
    toolkit_name           varchar(100) NOT NULL,
    connection_id          varchar(255) NOT NULL,
    status                 text         NOT NULL CHECK (status IN ('active', 'expired', 'revoked')),
    encrypted_access_token text         NOT NULL,
    refresh_token          text,
    expires_at             timestamptz,
    created_at             timestamptz  NOT NULL,
    updated_at             timestamptz  NOT NULL,
    last_used_at           timestamptz,
    UNIQUE (tenant_id, toolkit_name, connection_id)
);
CREATE INDEX IF NOT EXISTS ix_composio_connections_expires_at ON composio_connections (expires_at);

CREATE TABLE IF NOT EXISTS composio_action_audits (
    id            text PRIMARY KEY CHECK (id <> ''),
    action_id     text        NOT NULL,
    execution_id  text,
    toolkit_name  text        NOT NULL,
    action_name   text        NOT NULL,
    tenant_id     text        NOT NULL CHECK (tenant_id <> ''),
    connection_id text, -- composio_connections.connection_id
    parameters    text,
    result        text,
    status        text        NOT NULL CHECK (status IN ('success', 'failed', 'retrying')),
    executed_at   timestamptz NOT NULL,
    retry_count   integer     NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
    error_message text
);
CREATE INDEX IF NOT EXISTS ix_composio_action_audits_action_id ON composio_action_audits (action_id);
CREATE INDEX IF NOT EXISTS ix_composio_action_audits_execution_id ON composio_action_audits (execution_id);
CREATE INDEX IF NOT EXISTS ix_composio_action_audits_executed_at ON composio_action_audits (executed_at);

CREATE TABLE IF NOT EXISTS soar_playbook_executions (
    id               text PRIMARY KEY CHECK (id <> ''),
    playbook_id      text        NOT NULL,
    investigation_id text,
    anomaly_id       uuid,
    tenant_id        text        NOT NULL CHECK (tenant_id <> ''),
    trigger_reason   text,
    status           text        NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    started_at       timestamptz NOT NULL,
    completed_at     timestamptz CHECK (completed_at >= started_at),
    actions_executed text,
    error_message    text
);
CREATE INDEX IF NOT EXISTS ix_soar_playbook_executions_playbook_id ON soar_playbook_executions (playbook_id);
CREATE INDEX IF NOT EXISTS ix_soar_playbook_executions_investigation_id
    ON soar_playbook_executions (investigation_id);
CREATE INDEX IF NOT EXISTS ix_soar_playbook_executions_started_at ON soar_playbook_executions (started_at);
