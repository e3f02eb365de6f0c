"""Checks of the target: what the deployment is, and what we may do there."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pydantic import SecretStr
from pymongo.errors import OperationFailure

from workbench.models import COLLECTIONS
from workbench.settings import Settings
from workbench.verification.setup.results import Outcome, Probe, failed, not_applicable, passed, warned

ATLAS_ERROR = 8000
UNSUPPORTED = {59, 115, ATLAS_ERROR, 40324, 31082}
"""CommandNotFound, CommandNotSupported, AtlasError, unknown stage, SearchNotEnabled: small tiers, other products."""
FORBIDDEN = {13}
MIN_VERSIONS = {7: (7, 0, 3), 8: (8, 0, 17)}
"""7.0.3: $out into time series. 8.0.17: fixes of time-series inserts and of CVE-2025-14847."""
MIN_HOURS_OF_OPLOG = 24
MIN_CERTIFICATE_DAYS, TLS_SECONDS = 14, 5
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DISK_FACTOR, MIN_FREE_BYTES = 2.5, 2 * 2**30
"""Documents, their indexes and vectors, the oplog and the journal; and what a server needs to go on."""
NEEDED_ACTIONS = frozenset(
    {"find", "insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "collMod"}
    | {"listIndexes", "listCollections"}
)


@dataclass(frozen=True)
class Target:
    """What the checks look at. Facts that several checks need are asked once."""

    client: pymongo.MongoClient[Any]
    settings: Settings
    source_bytes: int = 0
    """Size of the source's tables; 0 where the source could not be asked."""

    @property
    def database(self) -> Any:
        """The target database."""
        return self.client[self.settings.mongodb_database]

    @cached_property
    def hello(self) -> dict[str, Any]:
        """What the server says about itself and its set."""
        return dict(self.client.admin.command("hello"))

    @cached_property
    def build(self) -> dict[str, Any]:
        """Version and modules."""
        return dict(self.client.admin.command("buildInfo"))

    @property
    def is_emulator(self) -> bool:
        """Whether this is the embedded server rather than MongoDB."""
        return "secantusVersion" in self.build


def admin(target: Target, command: str | dict[str, Any], read: Callable[[dict[str, Any]], Outcome]) -> Outcome:
    """What `read` makes of a command's answer; where the server does not answer, why not."""
    try:
        return read(dict(target.client.admin.command(command)))
    except OperationFailure as error:
        name = command if isinstance(command, str) else next(iter(command))
        if error.code in UNSUPPORTED:
            return unsupported(error, name)
        if error.code in FORBIDDEN:
            return not_applicable(f"the user may not run {name} (code {error.code})")
        raise


def unsupported(error: OperationFailure, what: str) -> Outcome:
    """Atlas says with one code that a tier lacks something, and that a user may not do it: its words tell which."""
    words = str((error.details or {}).get("errmsg", ""))[:120]
    said = f": {words}" if error.code == ATLAS_ERROR and words else ""
    return not_applicable(f"this deployment does not support {what} (code {error.code}{said})")


def _connection(target: Target) -> Outcome:
    target.client.admin.command("ping")
    settings, address = target.settings, target.client.address
    uri = settings.mongodb_uri.get_secret_value().lower() if settings.mongodb_uri else ""
    host, port = (str(address[0]), int(address[1])) if address else ("?", 0)
    insecure = next((word for word in ("tlsallowinvalid", "tlsinsecure", "ssl_cert_reqs") if word in uri), "")
    if insecure:
        return failed(f"the URI switches certificate checks off ({insecure}...)", "Remove the option from the URI.")
    srv = uri.startswith("mongodb+srv") and "tls=false" not in uri and "ssl=false" not in uri
    if settings.tls or settings.tls_ca_file or srv or "tls=true" in uri or "ssl=true" in uri:
        options = {name.lower(): value for name, value in parse_qsl(urlsplit(_text(settings.mongodb_uri)).query)}
        return handshake(host, port, str(settings.tls_ca_file or options.get("tlscafile") or "") or None)
    if host in LOOPBACK or host.startswith("/"):
        return passed(f"{host} answers without TLS; loopback needs none, since nothing leaves this machine")
    return warned(f"{host} answers without TLS", "Set WORKBENCH_TLS=true, or use mongodb+srv.")


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def handshake(host: str, port: int, ca_file: str | None) -> Outcome:
    """What a TLS handshake of our own shows, as the driver's checks the certificate but tells nothing about it."""
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with (
            socket.create_connection((host, port), timeout=TLS_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            version, certificate = encrypted.version(), encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return failed(
            f"{host} answers over TLS, but its certificate was not verified: {error.verify_message}",
            "Use a certificate for this host, or name its authority in WORKBENCH_TLS_CA_FILE.",
        )
    except OSError as error:  # the driver did connect, perhaps with a certificate of the client
        return warned(
            f"{host} answers over TLS; a second handshake, to see the certificate, failed ({type(error).__name__})",
            "Look at the certificate with `openssl s_client`.",
        )
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - time.time()) // 86_400)
    text = f"{host} answers over {version}, certificate verified, valid for {days:,} more days"
    return passed(text) if days >= MIN_CERTIFICATE_DAYS else warned(text, "Renew the certificate of the server.")


def _version(target: Target) -> Outcome:
    version = tuple(target.build["versionArray"][:3])
    text = f"version {target.build['version']}"
    if target.is_emulator:
        return warned(
            f"SecantusDB, an emulator, that speaks like {text}", "Fit for trials; migrate for good into MongoDB."
        )
    if "modules" not in target.build:
        return warned(f"{text}, not a product of MongoDB's", "DocumentDB and CosmosDB differ in many ways: test them.")
    needed = MIN_VERSIONS.get(version[0], (7, 0, 3))
    if version < needed:
        wanted = ".".join(map(str, needed))
        return failed(f"{text} is older than {wanted}", f"Upgrade to {wanted} or later.")
    return passed(f"MongoDB {text}{', Enterprise' if 'enterprise' in target.build['modules'] else ''}")


def _topology(target: Target) -> Outcome:
    if target.hello.get("msg") == "isdbgrid":
        return passed("sharded cluster, by mongos")
    if not target.hello.get("setName"):
        return failed("a standalone server", "Make it a replica set of one: transactions and retries need one.")
    members = len(target.hello.get("hosts", []))
    if members == 1 and not target.is_emulator:
        return warned("a replica set with one member", "Fit for trials; use three members where data must last.")
    return passed(f"replica set {target.hello['setName']} with {members} members, primary reached")


def _compatibility(target: Target) -> Outcome:
    def read(answer: dict[str, Any]) -> Outcome:
        found = answer["featureCompatibilityVersion"]["version"]
        if target.build["version"].startswith(f"{found}."):
            return passed(f"feature compatibility version {found}")
        return warned(
            f"feature compatibility version {found} on server {target.build['version']}",
            "Finish the upgrade with setFeatureCompatibilityVersion.",
        )

    return admin(target, {"getParameter": 1, "featureCompatibilityVersion": 1}, read)


def _privileges(target: Target) -> Outcome:
    def read(answer: dict[str, Any]) -> Outcome:
        users = answer["authInfo"]["authenticatedUsers"]
        if not users:
            return warned("the server asks for no password", "Switch access control on.")
        privileges = answer["authInfo"].get("authenticatedUserPrivileges") or []
        if not privileges:
            roles = ", ".join(role["role"] for role in answer["authInfo"]["authenticatedUserRoles"])
            return passed(f"roles {roles}; the server lists no single actions, the canary write tries them")
        ours = (target.settings.mongodb_database, "")
        allowed = {
            action
            for privilege in privileges
            if privilege["resource"].get("anyResource") or privilege["resource"].get("db") in ours
            for action in privilege["actions"]
        }
        missing = sorted(NEEDED_ACTIONS - allowed) if "anyAction" not in allowed else []
        if missing:
            return failed(f"missing: {', '.join(missing)}", "Grant readWrite and dbAdmin on the target database.")
        return passed(f"all {len(NEEDED_ACTIONS)} actions that are needed")

    return admin(target, {"connectionStatus": 1, "showPrivileges": True}, read)


def _limits(target: Target) -> Outcome:
    sizes = {name: target.hello.get(name) for name in ("maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize")}
    if target.settings.batch_rows > (sizes["maxWriteBatchSize"] or 0):
        return failed(f"batches of {target.settings.batch_rows:,}", "Lower WORKBENCH_BATCH_ROWS below the limit.")
    return passed(
        f"documents of {sizes['maxBsonObjectSize']:,} bytes, batches of {sizes['maxWriteBatchSize']:,}, "
        f"messages of {sizes['maxMessageSizeBytes']:,} bytes"
    )


def _connections(target: Target) -> Outcome:
    needed = target.settings.workers * 2 + target.settings.max_pool_size

    def read(answer: dict[str, Any]) -> Outcome:
        left = (answer.get("connections") or {}).get("available")
        if target.is_emulator or left is None:
            return not_applicable("the server does not tell how many connections are left")
        if left < needed:
            return failed(f"{left:,} connections left, {needed:,} needed", "Lower WORKBENCH_MAX_POOL_SIZE.")
        return passed(f"{left:,} connections left, {needed:,} needed at most")

    return admin(target, "serverStatus", read)


def _write_concern(target: Target) -> Outcome:
    own = target.settings.write_concern

    def read(answer: dict[str, Any]) -> Outcome:
        default = answer.get("defaultWriteConcern", {}).get("w", "majority")
        if own != "majority":
            return warned(
                f"WORKBENCH_WRITE_CONCERN is {own}: what was acknowledged can be lost at a failover", "Use majority."
            )
        return passed(f"ours is majority, the cluster's default is {default}")

    outcome = admin(target, "getDefaultRWConcern", read)
    return passed("ours is majority") if outcome.status == "not_applicable" and own == "majority" else outcome


def _replication(target: Target) -> Outcome:
    def read(answer: dict[str, Any]) -> Outcome:
        members = answer["members"]
        unwell = [member["name"] for member in members if member.get("health") != 1]
        if unwell:
            return failed(f"members that do not answer: {', '.join(unwell)}", "Mend the replica set first.")
        times = [member["optimeDate"] for member in members if member.get("optimeDate")]
        lag = (max(times) - min(times)).total_seconds() if times else 0.0
        if lag > 30:
            return warned(f"a member is {lag:.0f} s behind", "Wait until it has caught up, or writes will wait for it.")
        return passed(f"{len(members)} members, greatest lag {lag:.0f} s")

    if target.hello.get("msg") == "isdbgrid":
        return not_applicable("asked of each shard's set, not of mongos")
    return admin(target, "replSetGetStatus", read)


def _oplog(target: Target) -> Outcome:
    if target.is_emulator:
        return not_applicable("an emulator has no members that its oplog must outlast")  # and reading it takes seconds
    oplog = target.client["local"]["oplog.rs"]
    try:
        first, last = (oplog.find_one(sort=[("$natural", order)], projection={"ts": 1}) for order in (1, -1))
    except OperationFailure as error:
        return not_applicable(f"the oplog cannot be read (code {error.code})")
    if not first or not last:
        return not_applicable("there is no oplog")
    hours = (last["ts"].time - first["ts"].time) / 3600
    if hours < MIN_HOURS_OF_OPLOG:
        return warned(f"the oplog covers {hours:.1f} h", "Enlarge it: a bulk load shortens the time it covers.")
    return passed(f"the oplog covers {hours:.0f} h")


def _sharding(target: Target) -> Outcome:
    if target.hello.get("msg") != "isdbgrid":
        return not_applicable("not a sharded cluster")

    def read(answer: dict[str, Any]) -> Outcome:
        shards = len(answer["shards"])
        sharded = {
            entry["_id"].split(".", 1)[1]
            for entry in target.client["config"]["collections"].find(
                {"_id": {"$regex": f"^{target.settings.mongodb_database}\\."}}
            )
        }
        missing = [spec.name for spec in COLLECTIONS.values() if spec.name not in sharded]
        if missing:
            return warned(
                f"{shards} shards; not sharded: {', '.join(missing)}",
                "Shard and pre-split the large ones before the load.",
            )
        return passed(f"{shards} shards, all collections sharded")

    return admin(target, "listShards", read)


def _disk(target: Target) -> Outcome:
    if target.is_emulator:
        return not_applicable("an emulator does not tell how much disk is left")  # and adds up every document to say so
    return judge_disk(dict(target.database.command("dbStats")), target.source_bytes)


def judge_disk(found: dict[str, Any], source_bytes: int) -> Outcome:
    """Whether what is free on the target's disk is enough for what is still to be loaded."""
    if not found.get("fsTotalSize"):
        return not_applicable("the server does not tell how much disk is left")
    free, used = found["fsTotalSize"] - found["fsUsedSize"], found.get("totalSize", 0)
    needed = max(0, DISK_FACTOR * source_bytes - used) + MIN_FREE_BYTES
    text = (
        f"{_gib(free)} of {_gib(found['fsTotalSize'])} free, the database uses {_gib(used)}; "
        f"{_gib(needed)} needed at most, {DISK_FACTOR:g} times the source ({_gib(source_bytes)}) "
        f"and {_gib(MIN_FREE_BYTES)}"
    )
    if not source_bytes:
        text += "; the source's size is not known"
    return passed(text) if free >= needed else failed(text, "Free or add disk before the load: a full one stops it.")


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"


CHECKS = (
    Probe("connection and TLS", _connection),
    Probe("product and version", _version),
    Probe("topology", _topology),
    Probe("feature compatibility", _compatibility),
    Probe("privileges", _privileges),
    Probe("limits", _limits),
    Probe("connections left", _connections),
    Probe("write concern", _write_concern),
    Probe("replication", _replication),
    Probe("oplog window", _oplog),
    Probe("sharding", _sharding),
    Probe("disk", _disk),
)
