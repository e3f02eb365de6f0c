"""The setup checks on real servers: all is found on a good setup, and what is wrong is named with what to do."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.errors import OperationFailure

from tests.strict_mongodb import StrictMongoDB
from workbench import connections, schema
from workbench.settings import Settings
from workbench.verification.setup import SetupResult, canary, check_setup, mongodb
from workbench.verification.setup.mongodb import Target
from workbench.verification.setup.results import Outcome, Probe, Status
from workbench.verification.setup.run import _run

DELIBERATE = ("series",)
"""The scratch time series on which the checks try what a real server refuses."""


@pytest.fixture(autouse=True)
def deliberate_violations(strict_mongodb: StrictMongoDB) -> Iterator[None]:
    """Violations on the scratch time series are the purpose of a check."""
    yield
    strict_mongodb.violations[:] = [
        violation for violation in strict_mongodb.violations if violation.split(":")[0].split()[-1] not in DELIBERATE
    ]


def _write_and_break(target: Target) -> None:
    with canary.scratch_database(target) as database:
        database["x"].insert_one({"_id": 1})
        raise ZeroDivisionError


def by_name(result: SetupResult, server: str = "MongoDB") -> dict[str, Any]:
    return {check.name: check for check in result.checks if check.server == server}


def test_a_good_setup_has_nothing_that_failed(settings: Settings) -> None:
    result = check_setup(settings)
    assert result.passed, result.text()
    assert len(result.checks) >= 35
    assert all(check.evidence for check in result.checks)
    assert all(check.todo for check in result.checks if check.status in (Status.WARNED, Status.FAILED))
    target, source = by_name(result), by_name(result, "PostgreSQL")
    assert target["canary writes"].status is Status.PASSED
    assert target["transactions"].status is Status.PASSED
    assert target["vectors"].status is Status.PASSED
    assert source["primary keys"].evidence == "a primary key on every table"
    assert source["columns"].status is Status.PASSED
    stored = json.loads(json.dumps(result.as_dict()))
    assert len(stored["checks"]) == len(result.frame()) == len(result.checks)
    assert f"PASSED: {len(result.checks)} checks" in result.text()


def test_an_emulator_is_recognised_and_its_leniency_named(settings: Settings) -> None:
    with connections.open_target(settings) as client:
        emulated = "secantusVersion" in client.admin.command("buildInfo")
    found = by_name(check_setup(settings))
    assert ("emulator" in found["product and version"].evidence) is emulated
    assert ("updates of measurements" in found["time-series rules"].evidence) is emulated
    assert found["time-series rules"].status is (Status.WARNED if emulated else Status.PASSED)


def test_scratch_databases_are_dropped_also_after_an_error(settings: Settings) -> None:
    with connections.open_target(settings) as client:
        before = set(client.list_database_names())
        check_setup(settings)
        target = Target(client, settings)
        with pytest.raises(ZeroDivisionError):
            _write_and_break(target)
        assert set(client.list_database_names()) - before <= {settings.mongodb_database}


def test_what_is_wrong_with_the_source_is_named(fresh_settings: Settings) -> None:
    with connections.open_source(fresh_settings, autocommit=True) as connection:
        connection.execute("ALTER TABLE transaction_scores DROP CONSTRAINT transaction_scores_pkey")
        connection.execute("ALTER TABLE detectors ADD COLUMN owner text")
        connection.execute("ALTER TABLE composio_connections DROP COLUMN last_used_at")
        connection.execute("DROP TABLE soar_playbook_executions")
    result = check_setup(fresh_settings, write=False)
    found = by_name(result, "PostgreSQL")
    assert not result.passed
    assert "transaction_scores: no primary key" in found["primary keys"].evidence
    assert "detectors.owner would not be migrated" in found["columns"].evidence
    assert "composio_connections.last_used_at is missing" in found["columns"].evidence
    assert found["tables"].evidence == "missing: soar_playbook_executions"
    assert "FAILED" in result.text()


def test_what_is_wrong_with_the_target_is_named(fresh_settings: Settings) -> None:
    empty = by_name(check_setup(fresh_settings, write=False))
    assert empty["collections and options"].status is Status.WARNED
    assert empty["indexes"].status is Status.WARNED
    with connections.open_target(fresh_settings) as client:
        database = client[fresh_settings.mongodb_database]
        schema.apply(database, schema.plan(database, fresh_settings))
        done = by_name(check_setup(fresh_settings, write=False))
        assert done["collections and options"].status is done["indexes"].status is Status.PASSED
        database.drop_collection("audit_log")
        database.create_collection("audit_log", timeseries={"timeField": "at", "metaField": "metadata"})
        wrong = by_name(check_setup(fresh_settings, write=False))
        database.drop_collection("audit_log")
    assert wrong["time-series options"].status is Status.FAILED
    assert "audit_log: ('at', 'metadata'" in wrong["time-series options"].evidence


def test_settings_that_cannot_work_are_named(settings: Settings) -> None:
    odd = settings.model_copy(update={"batch_rows": 10**6, "write_concern": "1"})
    found = by_name(check_setup(odd, write=False))
    assert found["limits"].status is Status.FAILED
    assert found["write concern"].status in (Status.WARNED, Status.NOT_APPLICABLE)


def test_a_server_that_cannot_be_reached_is_a_finding(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={
            "mongodb_uri": SecretStr("mongodb://user:hidden@127.0.0.1:1/"),
            "database_url": SecretStr("postgresql://user:hidden@127.0.0.1:1/x"),
            "server_selection_timeout_seconds": 0.3,
        }
    )
    result = check_setup(nowhere)
    assert [(check.server, check.name, check.status) for check in result.checks] == [
        ("PostgreSQL", "connection", Status.FAILED),
        ("MongoDB", "connection", Status.FAILED),
    ]
    assert "hidden" not in result.text() + json.dumps(result.as_dict())


@pytest.mark.parametrize(
    ("code", "status"),
    [(59, Status.NOT_APPLICABLE), (8000, Status.NOT_APPLICABLE), (13, Status.FAILED), (1, Status.FAILED)],
)
def test_commands_that_a_small_tier_refuses_do_not_break_the_check(
    settings: Settings, code: int, status: Status
) -> None:
    def refuse(subject: Any) -> Outcome:
        raise OperationFailure("refused", code, {"errmsg": "CMD_NOT_ALLOWED: getParameter"})

    (found,) = _run("MongoDB", [Probe("refused", refuse, needed=True)], None)
    assert found.status is status
    (seen,) = _run("MongoDB", [Probe("refused", refuse)], None)
    assert seen.status is (Status.NOT_APPLICABLE if code == 13 else status)
    assert ("CMD_NOT_ALLOWED: getParameter" in seen.evidence) is (code == 8000)


def test_privileges_are_compared_action_by_action(servers: Settings, settings: Settings) -> None:
    """With an answer as MongoDB gives it: the embedded server lists roles only."""
    answer = {
        "authInfo": {
            "authenticatedUsers": [{"user": "u"}],
            "authenticatedUserRoles": [],
            "authenticatedUserPrivileges": [
                {"resource": {"db": settings.mongodb_database, "collection": ""}, "actions": ["find", "insert"]},
                {"resource": {"db": "other", "collection": ""}, "actions": sorted(mongodb.NEEDED_ACTIONS)},
            ],
        }
    }

    class Admin:
        def command(self, command: object) -> dict[str, Any]:
            return answer

    class Client:
        admin = Admin()

    target = Target(Client(), settings)  # type: ignore[arg-type]
    outcome = mongodb._privileges(target)
    assert outcome.status is Status.FAILED
    assert "createIndex" in outcome.evidence
    assert "insert" not in outcome.evidence
    answer["authInfo"]["authenticatedUserPrivileges"].append(
        {"resource": {"anyResource": True}, "actions": sorted(mongodb.NEEDED_ACTIONS)}
    )
    assert mongodb._privileges(target).status is Status.PASSED


def test_the_disk_must_hold_what_the_source_has() -> None:
    gib = 2**30
    stats = {"fsTotalSize": 100.0 * gib, "fsUsedSize": 60.0 * gib, "totalSize": 1.0 * gib}
    good = mongodb.judge_disk(stats, 15 * gib)  # 2.5 times 15, less 1 that is there, and 2 to go on
    assert good.status is Status.PASSED
    assert "40.0 GiB of 100.0 GiB free" in good.evidence
    assert "38.5 GiB needed at most" in good.evidence
    small = mongodb.judge_disk(stats, 16 * gib)
    assert small.status is Status.FAILED
    assert small.todo
    assert mongodb.judge_disk({"totalSize": 1}, gib).status is Status.NOT_APPLICABLE
    assert "the source's size is not known" in mongodb.judge_disk(stats, 0).evidence


def test_the_size_of_the_source_reaches_the_check_of_the_disk(settings: Settings) -> None:
    from workbench.verification.setup.run import _source_checks

    checks, size = _source_checks(settings)
    shown = next(check.evidence for check in checks if check.name == "sizes and duration")
    assert size > 2**20
    assert f"{size / 2**20:,.0f} MiB" in shown


def test_loopback_without_tls_is_noted(settings: Settings) -> None:
    found = by_name(check_setup(settings, write=False))["connection and TLS"]
    assert found.status is Status.PASSED
    assert "loopback needs none" in found.evidence


@pytest.mark.parametrize(("days", "trusted", "status"), [
    (90, True, Status.PASSED), (3, True, Status.WARNED), (90, False, Status.FAILED),
])  # fmt: skip
def test_the_certificate_is_looked_at(tmp_path: Path, days: int, trusted: bool, status: Status) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days",
         str(days), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):  # the client hangs up, as it should
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as encrypted:
                    encrypted.recv(1)

        server = threading.Thread(target=answer, daemon=True)
        server.start()
        found = mongodb.handshake("localhost", listener.getsockname()[1], str(certificate) if trusted else None)
        server.join(5)
    assert found.status is status, found.evidence
    assert ("TLSv1.3, certificate verified" in found.evidence) is trusted
    assert ("not verified: self-signed" in found.evidence) is not trusted
