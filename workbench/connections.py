"""The only place that opens PostgreSQL and MongoDB clients, and that knows what their errors mean."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pymongo
from bson.codec_options import DatetimeConversion
from psycopg.conninfo import conninfo_to_dict
from pymongo import AsyncMongoClient, MongoClient, errors

from workbench import embedded
from workbench.errors import ConfigurationError, SourceUnavailable, TargetUnavailable, WorkbenchError
from workbench.settings import Settings

Json = dict[str, Any]
_EMBEDDED_SECONDS = 120.0
APPLICATION_NAME = "workbench"

_RETRYABLE_LABELS = ("RetryableWriteError", "TransientTransactionError")
_TRANSIENT = {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
"""Host unreachable or not found, network timeout, shutting down, majority not yet readable, stepped down, out of time,
socket exception, not primary, interrupted: servers and proxies may tell these without a label."""
_UNAUTHORIZED = {13, 18, 8000}
"""Unauthorized, AuthenticationFailed, AtlasError."""


def source_uri(settings: Settings) -> str:
    """The URI of the source: the user's own, or the running embedded server's."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return embedded.attach(settings.data_dir).source_uri


def target_uri(settings: Settings) -> str:
    """The URI of the target: the user's own, or the running embedded server's."""
    if settings.mongodb_uri:
        return settings.mongodb_uri.get_secret_value()
    return embedded.attach(settings.data_dir).target_uri


def open_source(settings: Settings, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A PostgreSQL connection in UTC, with the source's schema first in its search path.

    Raises:
        ConfigurationError: the URI is malformed.
        SourceUnavailable: the server cannot be reached, or refuses the user.
    """
    uri = source_uri(settings)
    timeout_ms = settings.source_statement_timeout_seconds * 1000
    try:
        conninfo_to_dict(uri)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "WORKBENCH_DATABASE_URL is not a valid PostgreSQL URI.",
            todo="Expected postgresql://user:password@host:port/database.",
        ) from None
    try:
        return psycopg.connect(
            uri,
            autocommit=autocommit,
            application_name=APPLICATION_NAME,
            connect_timeout=settings.source_connect_timeout_seconds,
            options=f"-c TimeZone=UTC -c search_path={settings.source_schema} -c statement_timeout={timeout_ms}"
            " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",  # frees its locks
        )
    except psycopg.OperationalError as error:
        raise SourceUnavailable(
            f"PostgreSQL cannot be used: {str(error).strip()}.",
            todo="Check WORKBENCH_DATABASE_URL: host, port, database, user and password.",
        ) from None  # the chained error would carry the URI in its frames


def open_target(settings: Settings, *, bulk: bool = False, **options: Any) -> MongoClient[Json]:
    """A MongoDB client that has answered a ping. One for each process: it is thread-safe, not fork-safe.

    Args:
        settings: pools, timeouts, TLS, write concern.
        bulk: use `bulk_timeout_seconds` instead of `operation_timeout_seconds`.
        options: further client options, for example `event_listeners`.

    Reads go to the primary: a lagging member would make locking, the ledger and the verification err.

    Raises:
        ConfigurationError: the URI or an option is malformed.
        TargetUnavailable: no server can be reached, or it refuses the user.
    """
    with _opening():
        client: MongoClient[Json] = MongoClient(target_uri(settings), **_options(settings, bulk), **options)
    try:
        with _opening(), pymongo.timeout(_patience(settings.server_selection_timeout_seconds, settings)):
            client.admin.command("ping")
    except WorkbenchError:
        client.close()
        raise
    return client


def open_target_async(settings: Settings, **options: Any) -> AsyncMongoClient[Json]:
    """An async MongoDB client, not yet connected. It belongs to the event loop that first uses it.

    Raises:
        ConfigurationError: the URI or an option is malformed.
    """
    with _opening():
        return AsyncMongoClient(target_uri(settings), **_options(settings, bulk=False), **options)


def _options(settings: Settings, bulk: bool) -> dict[str, Any]:
    seconds = settings.bulk_timeout_seconds if bulk else settings.operation_timeout_seconds
    concern = settings.write_concern if settings.mongodb_uri else "majority"
    options: dict[str, Any] = {
        "appname": APPLICATION_NAME,
        "uuidRepresentation": "standard",
        "tz_aware": True,
        "datetime_conversion": DatetimeConversion.DATETIME_AUTO,  # dates beyond Python's years stay readable
        "maxPoolSize": max(settings.max_pool_size, settings.min_pool_size),
        "minPoolSize": settings.min_pool_size,
        "serverSelectionTimeoutMS": int(_patience(settings.server_selection_timeout_seconds, settings) * 1000),
        "connectTimeoutMS": int(_patience(settings.connect_timeout_seconds, settings) * 1000),
        "timeoutMS": int(seconds * 1000),
        "w": int(concern) if concern.isdigit() else concern,
    }
    if not settings.mongodb_uri:  # the embedded server is one local node
        return options
    if settings.compressors:
        options["compressors"] = settings.compressors
    if settings.tls or settings.tls_ca_file:
        options["tls"] = True
    if settings.tls_ca_file:
        options["tlsCAFile"] = str(settings.tls_ca_file)
    return options


def _patience(seconds: float, settings: Settings) -> float:
    """How long to wait for an answer of the target. The embedded server is known to live, but answers nobody while it
    begins the scan of a large collection (12 s for 700,000 documents)."""
    return seconds if settings.mongodb_uri else max(seconds, _EMBEDDED_SECONDS)


@contextlib.contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except (errors.ConfigurationError, errors.InvalidURI, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"WORKBENCH_MONGODB_URI or an option of the client is wrong ({type(error).__name__}).",
            todo="Expected mongodb://user:password@host:port/ with special characters percent-encoded.",
        ) from None  # the message may quote the URI
    except errors.PyMongoError as error:
        raise translate_target_error(error) from None


def translate_source_error(error: psycopg.Error) -> WorkbenchError:
    """The workbench's error for a driver's, without the rows that its details quote."""
    what = error.diag.message_primary or (str(error).splitlines() or [""])[0]
    return SourceUnavailable(f"PostgreSQL refused or ended the work ({type(error).__name__}): {what[:300]}.")


def translate_target_error(error: errors.PyMongoError) -> WorkbenchError:
    """The workbench's error for a driver's, without documents or URIs in its message."""
    code = getattr(error, "code", None)
    if isinstance(error, errors.OperationFailure) and code in _UNAUTHORIZED:
        return TargetUnavailable(
            f"MongoDB refuses this user ({code}: {_first_line(error)}).", todo="Check user, password and roles."
        )
    if isinstance(error, errors.OperationFailure):
        return TargetUnavailable(f"MongoDB refused a command ({code}: {_first_line(error)}).")
    return TargetUnavailable(
        f"MongoDB cannot be reached: {_first_line(error)}.",
        todo="Check WORKBENCH_MONGODB_URI, the network and the server's state.",
    )


def _first_line(error: errors.PyMongoError) -> str:
    return re.split(r", full error|, Timeout:| \(configured| dup key:|\n", str(error), maxsplit=1)[0][:300]


def is_transient(error: BaseException) -> bool:
    """Whether the same idempotent operation may succeed if tried again."""
    if isinstance(error, errors.BulkWriteError):
        causes = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        return bool(causes) and all(cause.get("code") in _TRANSIENT for cause in causes)
    if isinstance(error, errors.PyMongoError):
        labelled = any(map(error.has_error_label, _RETRYABLE_LABELS))
        return labelled or isinstance(error, errors.ConnectionFailure) or getattr(error, "code", None) in _TRANSIENT
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def is_sharded(client: pymongo.MongoClient[Json]) -> bool:
    """Whether the client speaks to the routers of a sharded cluster."""
    return bool(client.admin.command("hello").get("msg") == "isdbgrid")


def server_incarnation(client: pymongo.MongoClient[Json]) -> str:
    """What changes when the primary restarts or another is elected: writes acknowledged before may be gone.

    Behind a URI of several routers each answer may come from another one, and none of them keeps data, so a sharded
    cluster has one incarnation: what must not be lost there is to be written under a majority.
    """
    hello = client.admin.command("hello")
    if hello.get("msg") == "isdbgrid":
        return "sharded"
    process = hello.get("topologyVersion", {}).get("processId")
    return f"{process}/{hello.get('setVersion')}/{hello.get('electionId')}"
