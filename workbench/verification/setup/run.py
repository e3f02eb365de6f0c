"""Run all setup checks. One that cannot be made is a finding, never a crash."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from pymongo.errors import OperationFailure, PyMongoError

from workbench import connections
from workbench.errors import UnavailableError
from workbench.settings import Settings
from workbench.verification.setup import canary, collections, mongodb, postgresql
from workbench.verification.setup.results import Outcome, Probe, SetupCheck, SetupResult, Status, failed, not_applicable

SOURCE, TARGET = "PostgreSQL", "MongoDB"


def check_setup(settings: Settings, *, write: bool = True) -> SetupResult:
    """Check both servers.

    Args:
        write: also try what needs writing, in a scratch database that is dropped again.

    Returns:
        Every check with its evidence. A server that cannot be reached is a failed check, and the only one of it.

    Raises:
        ConfigurationError: a URI is malformed.
    """
    began = time.perf_counter()
    checks, source_bytes = _source_checks(settings)
    checks += _target_checks(settings, write, source_bytes)
    return SetupResult(tuple(checks), time.perf_counter() - began, write)


def _source_checks(settings: Settings) -> tuple[list[SetupCheck], int]:
    """The checks of the source, and its size in bytes, which the target must have room for; 0 if it is not known."""
    try:
        connection = connections.open_source(settings, autocommit=True)
    except UnavailableError as error:
        return [SetupCheck(SOURCE, "connection", Status.FAILED, error.what, error.todo)], 0
    with connection:
        checks = list(_run(SOURCE, postgresql.CHECKS, postgresql.Source(connection, settings)))
        try:
            return checks, postgresql.estimate(connection)[1]
        except psycopg.Error:  # that it cannot be read is a finding of the checks
            return checks, 0


def _target_checks(settings: Settings, write: bool, source_bytes: int) -> Iterator[SetupCheck]:
    try:
        client = connections.open_target(settings)
    except UnavailableError as error:
        yield SetupCheck(TARGET, "connection", Status.FAILED, error.what, error.todo)
        return
    with client:
        target = mongodb.Target(client, settings, source_bytes)
        yield from _run(TARGET, (*mongodb.CHECKS, *collections.CHECKS), target)
        if write:
            yield from _run(TARGET, canary.CHECKS, target)


def _run(server: str, probes: Iterable[Probe], subject: Any) -> Iterator[SetupCheck]:
    for probe in probes:
        began = time.perf_counter()
        outcome = _outcome(probe, subject)
        seconds = time.perf_counter() - began
        yield SetupCheck(server, probe.name, outcome.status, outcome.evidence, outcome.todo, seconds)


def _outcome(probe: Probe, subject: Any) -> Outcome:
    try:
        return probe.look(subject)
    except OperationFailure as error:
        if error.code in mongodb.UNSUPPORTED:
            return mongodb.unsupported(error, "it")
        if error.code in mongodb.FORBIDDEN and not probe.needed:
            return not_applicable(f"the user may not look at it (code {error.code})")
        if error.code in mongodb.FORBIDDEN:
            return failed(f"the user may not do this (code {error.code})", "Grant readWrite and dbAdmin.")
        return failed(f"the server refused with code {error.code}", "See the server's log.")
    except PyMongoError as error:
        return failed(f"{type(error).__name__} while checking", "Check the network and the server's state.")
    except psycopg.Error as error:
        return failed(f"{type(error).__name__} while checking", "Check the role's rights and the server's state.")
