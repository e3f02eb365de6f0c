"""The kinds of bad rows that can be planted: name, where, what is wrong, and whether a migration must refuse them.

A kind that is not quarantined is unusual but legal: the row must arrive, with what BSON cannot hold kept in its
provenance.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

RowDict: TypeAlias = dict[str, str | None]
Change: TypeAlias = Callable[[RowDict, str, int], None]
"""Spoils the named field of a row in place; the number tells planted rows apart."""

OVERSIZE_BYTES = 17 * 1024 * 1024
"""Size of the one value that no MongoDB document (at most 16 MiB) can hold."""
NESTING_LEVELS = 150

STATES = "investigation_states"
TEMPLATES = "investigation_templates"
AUDIT = "investigation_audit_log"
DETECTORS = "detectors"
RUNS = "detection_runs"
ANOMALIES = "anomaly_events"
SCORES = "transaction_scores"
CONNECTIONS = "composio_connections"
ACTIONS = "composio_action_audits"
EXECUTIONS = "soar_playbook_executions"


@dataclass(frozen=True)
class Kind:
    """A kind of bad row.

    Attributes:
        name: how the manifest and `workbench_sample.planted` call it.
        what: what is wrong, for people.
        places: the (table, field) pairs in which it is planted.
        change: spoils the field of a good row in place.
        quarantined: whether a migration must refuse the row; False: it must arrive without loss.
        once: planted at most once a fill, because it is expensive.
        suits: whether a good row can be spoiled so; any can unless it says otherwise.
    """

    name: str
    what: str
    places: tuple[tuple[str, str], ...]
    change: Change
    quarantined: bool = True
    once: bool = False
    suits: Callable[[RowDict], bool] | None = None


def _put(value: str | None) -> Change:
    def change(row: RowDict, field: str, number: int) -> None:
        row[field] = value

    return change


def _member(member: str) -> Change:
    """Add a member to the JSON object of the field, or to the first object of its list."""

    def change(row: RowDict, field: str, number: int) -> None:
        document = row[field] or ""
        head, brace, rest = document.partition("{")
        if not brace:
            row[field] = f"[{{{member}}}]" if field == "actions_executed" else f"{{{member}}}"
        else:
            comma = "" if rest.startswith("}") else ","
            row[field] = f"{head}{{{member}{comma}{rest}"

    return change


def _truncate(row: RowDict, field: str, number: int) -> None:
    document = row[field] or '{"status":"IN_PROGRESS","version":3}'
    row[field] = document[: 2 * len(document) // 3]


def _oversize(row: RowDict, field: str, number: int) -> None:
    row[field] = json.dumps({"body": "0123456789abcdef" * (OVERSIZE_BYTES // 16)})


def _before(other: str) -> Change:
    def change(row: RowDict, field: str, number: int) -> None:
        moment = row[other] or ""
        row[field] = f"{int(moment[:4]) - 1}{moment[4:]}".replace("-02-29", "-02-28")

    return change


def _unknown_uuid(row: RowDict, field: str, number: int) -> None:
    row[field] = f"00000000-dead-4000-8000-{number:012x}"


def _unknown_investigation(row: RowDict, field: str, number: int) -> None:
    row[field] = f"inv-deleted-{number:08x}"


def _too_long(row: RowDict, field: str, number: int) -> None:
    row[field] = f"{row[field] or 'x'}-" + f"{number:08x}" * 33


def _twin(row: RowDict, name: str) -> None:
    """Give a template the name of the good one that it was copied from.

    Its key sorts behind that of the good one, so that in key order the planted row is the one that comes too late.
    """
    row["name"] = name
    row["template_id"] = f"{row['twin_id']}-copy"


def _same_name_but_space(row: RowDict, field: str, number: int) -> None:
    _twin(row, f"  {row['twin_name']}\t")


def _same_name_decomposed(row: RowDict, field: str, number: int) -> None:
    _twin(row, unicodedata.normalize("NFD", row["twin_name"] or ""))


def _decomposes(row: RowDict) -> bool:
    return not unicodedata.is_normalized("NFD", row["name"] or "")


_TEXT_JSON = ((STATES, "settings_json"), (TEMPLATES, "template_json"), (ACTIONS, "parameters"))
_KINDS = (
    Kind(
        "malformed_json",
        "JSON text that no parser accepts",
        (*_TEXT_JSON, (STATES, "progress_json"), (AUDIT, "changes_json"), (EXECUTIONS, "actions_executed")),
        _put('{"name": "Review", "tools": [splunk_search}'),
    ),
    Kind(
        "truncated_json",
        "JSON text that was cut off in the middle",
        ((STATES, "progress_json"), (AUDIT, "state_snapshot_json"), (ACTIONS, "result")),
        _truncate,
    ),
    Kind(
        "json_scalar",
        "a JSON number where an object or a list is expected",
        (
            (STATES, "settings_json"),
            (STATES, "progress_json"),
            (TEMPLATES, "template_json"),
            (EXECUTIONS, "actions_executed"),
        ),
        _put("42"),
    ),
    Kind(
        "jsonb_wrong_shape",
        "a JSON text where an object or a list is expected, in a jsonb column",
        ((DETECTORS, "cohort_by"), (DETECTORS, "metrics"), (RUNS, "info"), (ANOMALIES, "cohort")),
        _put('"all"'),
    ),
    Kind(
        "json_nan",
        "the literal NaN, which is not JSON but which Python writes",
        ((STATES, "progress_json"), (ACTIONS, "parameters")),
        _member('"drift":NaN'),
    ),
    Kind(
        "json_infinity",
        "the literal Infinity, which is not JSON but which Python writes",
        ((STATES, "settings_json"), (AUDIT, "changes_json")),
        _member('"limit":-Infinity'),
    ),
    Kind(
        "json_too_deep",
        f"{NESTING_LEVELS} levels of nesting; MongoDB allows 100",
        ((STATES, "settings_json"), (TEMPLATES, "template_json"), (AUDIT, "changes_json")),
        _member('"tree":' + '{"n":' * NESTING_LEVELS + "1" + "}" * NESTING_LEVELS),
    ),
    Kind("json_key_with_dot", "a key with a dot", (*_TEXT_JSON, (ANOMALIES, "evidence")), _member('"risk.limit":0.5')),
    Kind(
        "json_key_with_dollar",
        "a key that begins with a dollar sign",
        (*_TEXT_JSON, (DETECTORS, "params"), (ANOMALIES, "evidence")),
        _member('"$where":"1 == 1"'),
    ),
    Kind("json_key_with_nul", "a key with the character NUL", _TEXT_JSON, _member('"a\\u0000b":1')),
    Kind(
        "json_duplicate_key",
        "the same key twice in one object, so that one value would be lost",
        ((STATES, "settings_json"), (TEMPLATES, "template_json")),
        _member('"owner":"first","owner":"second"'),
    ),
    Kind(
        "json_lone_surrogate",
        "half of a surrogate pair, which is no Unicode text",
        ((STATES, "settings_json"), (AUDIT, "changes_json"), (ACTIONS, "parameters")),
        _member('"note":"broken \\ud800 text"'),
    ),
    Kind(
        "json_wide_integer",
        "an integer beyond 64 bits: kept as a Decimal128",
        ((STATES, "settings_json"), (TEMPLATES, "template_json")),
        _member('"budget":1180591620717411303424'),
        quarantined=False,
    ),
    Kind(
        "oversize_document",
        "a value above 16 MiB, the limit of a document",
        ((ACTIONS, "result"),),
        _oversize,
        once=True,
    ),
    Kind(
        "progress_above_100",
        "progress_percentage above 100",
        ((STATES, "progress_json"),),
        _put('{"current_phase":"domain_analysis","progress_percentage":130}'),
    ),
    Kind(
        "json_score_above_1",
        "a risk score above 1 inside the progress",
        ((STATES, "progress_json"),),
        _put('{"current_phase":"completed","progress_percentage":100,"risk_score":87.5}'),
    ),
    Kind("score_nan", "a score that is not a number", ((SCORES, "risk_score"), (ANOMALIES, "score")), _put("NaN")),
    Kind("score_infinity", "an infinite score", ((SCORES, "risk_score"), (ANOMALIES, "score")), _put("Infinity")),
    Kind("score_above_1", "a score above 1", ((SCORES, "risk_score"),), _put("1.0000001")),
    Kind("score_negative", "a score below 0", ((SCORES, "risk_score"),), _put("-0.25")),
    Kind(
        "unknown_status",
        "a status that the column does not know",
        tuple((table, "status") for table in (STATES, RUNS, ANOMALIES, CONNECTIONS, ACTIONS, EXECUTIONS)),
        _put("archived"),
    ),
    Kind("unknown_lifecycle_stage", "an unknown stage", ((STATES, "lifecycle_stage"),), _put("REVIEW")),
    Kind("unknown_severity", "an unknown severity", ((ANOMALIES, "severity"),), _put("fatal")),
    Kind("unknown_action_type", "an unknown action type", ((AUDIT, "action_type"),), _put("MERGED")),
    Kind("unknown_source", "an unknown source", ((AUDIT, "source"),), _put("CRON")),
    Kind("version_zero", "version 0; versions begin with 1", ((STATES, "version"),), _put("0")),
    Kind("version_negative", "a negative version", ((STATES, "version"), (AUDIT, "to_version")), _put("-1")),
    Kind(
        "null_required",
        "NULL where a value is required",
        (
            (STATES, "user_id"),
            (TEMPLATES, "name"),
            (AUDIT, "timestamp"),
            (DETECTORS, "name"),
            (RUNS, "started_at"),
            (ANOMALIES, "metric"),
            (SCORES, "risk_score"),
            (CONNECTIONS, "toolkit_name"),
            (ACTIONS, "action_id"),
            (EXECUTIONS, "started_at"),
        ),
        _put(None),
    ),
    Kind("empty_user", "an empty user id", tuple((t, "user_id") for t in (STATES, TEMPLATES, AUDIT)), _put("")),
    Kind(
        "empty_tenant",
        "an empty tenant id",
        tuple((table, "tenant_id") for table in (CONNECTIONS, ACTIONS, EXECUTIONS)),
        _put(""),
    ),
    Kind(
        "identifier_too_long",
        "an identifier of more than 255 characters",
        ((TEMPLATES, "template_id"), (SCORES, "transaction_id"), (EXECUTIONS, "playbook_id")),
        _too_long,
    ),
    Kind(
        "orphaned_audit",
        "an audit entry of an investigation that does not exist",
        ((AUDIT, "investigation_id"),),
        _unknown_investigation,
    ),
    Kind(
        "orphaned_score",
        "a score of an investigation that does not exist",
        ((SCORES, "investigation_id"),),
        _unknown_investigation,
    ),
    Kind("orphaned_run", "a run of a detector that does not exist", ((RUNS, "detector_id"),), _unknown_uuid),
    Kind("orphaned_anomaly", "an anomaly of a run that does not exist", ((ANOMALIES, "run_id"),), _unknown_uuid),
    Kind(
        "duplicate_name_space",
        "a user's template name that differs from another only by surrounding space",
        ((TEMPLATES, "name"),),
        _same_name_but_space,
    ),
    Kind(
        "duplicate_name_unicode",
        "a user's template name that differs from another only by its Unicode normalisation form",
        ((TEMPLATES, "name"),),
        _same_name_decomposed,
        suits=_decomposes,
    ),
    Kind("negative_retry_count", "a negative number of retries", ((ACTIONS, "retry_count"),), _put("-2")),
    Kind("negative_usage_count", "a negative number of uses", ((TEMPLATES, "usage_count"),), _put("-1")),
    Kind(
        "window_ends_before_start",
        "a window that ends before it starts",
        ((ANOMALIES, "window_end"),),
        _before("window_start"),
    ),
    Kind(
        "completed_before_started",
        "an execution that was over before it began",
        ((EXECUTIONS, "completed_at"),),
        _before("started_at"),
    ),
    Kind("tags_not_text", "a tag that is a number", ((TEMPLATES, "tags"),), _put('["ato",7]')),
    Kind(
        "required_time_beyond_9999",
        "a required time beyond the year 9999",
        ((AUDIT, "timestamp"), (RUNS, "started_at"), (ANOMALIES, "created_at"), (SCORES, "created_at")),
        _put("12026-03-01T10:00:00.000001"),
    ),
    Kind(
        "required_time_infinite",
        "a required time that is infinite",
        ((AUDIT, "timestamp"), (RUNS, "started_at"), (ACTIONS, "executed_at")),
        _put("infinity"),
    ),
    Kind(
        "time_beyond_9999",
        "an optional time beyond the year 9999: kept in the provenance",
        ((TEMPLATES, "last_used"),),
        _put("12026-03-01T10:00:00.000001"),
        quarantined=False,
    ),
    Kind(
        "time_infinite",
        "an optional time that is infinite, such as a token that never expires: kept in the provenance",
        ((CONNECTIONS, "expires_at"), (TEMPLATES, "last_used")),
        _put("infinity"),
        quarantined=False,
    ),
    Kind(
        "time_before_1970",
        "a time before 1970: kept, BSON dates are signed",
        ((SCORES, "created_at"), (CONNECTIONS, "last_used_at"), (TEMPLATES, "last_used")),
        _put("1969-07-20T20:17:40.123457"),
        quarantined=False,
    ),
    Kind(
        "numeric_too_wide",
        "a numeric of more than 34 digits: kept in the provenance",
        ((ANOMALIES, "observed"),),
        _put("12345678901234567890123456789.01234567890123456789"),
        quarantined=False,
    ),
    Kind(
        "numeric_nan",
        "a numeric that is not a number: kept, Decimal128 has it",
        ((ANOMALIES, "expected"),),
        _put("NaN"),
        quarantined=False,
    ),
    Kind(
        "numeric_infinity",
        "an infinite numeric (PostgreSQL 14 and later): kept, Decimal128 has it",
        ((ANOMALIES, "observed"),),
        _put("-Infinity"),
        quarantined=False,
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
"""Every kind of bad row by its name."""
