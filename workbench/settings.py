"""Every setting of the workbench: name, default, unit, allowed range. Read once, then passed down.

Values come from the environment (prefix `WORKBENCH_`) or the project's `.env` file; the environment wins. Relative
paths are taken from the project's root, so that a notebook and a shell mean the same folder.
`MONGODB_URI`, `MONGODB_DATABASE`, `DATABASE_URL`, `ENABLE_MONGODB` and `FAIL_ON_MONGODB_ERROR` are accepted
without the prefix as well. A URI that is not set means: the embedded server under `data_dir`.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

from dotenv.parser import parse_stream
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, SettingsConfigDict

from workbench.errors import ConfigurationError

PREFIX = "WORKBENCH_"
ENV_FILE = ".env"
_NO_SETTINGS = ("WORKBENCH_PROGRESS", "WORKBENCH_RUN_DIR", "WORKBENCH_FAULT")
"""Variables by which our own processes speak to each other."""
_PASSWORDS = (re.compile(r"://[^:/?]*:(.*)@"), re.compile(r"://[^:/?]*:([^@]*)@"), re.compile(r"[?&]password=([^&]*)"))
"""Where a URI may hold a password, also one whose special characters were not percent-encoded."""


class TenancyRule(StrEnum):
    """How rows of tables without a tenant column get their tenant."""

    CONSTANT = "constant"
    USER = "user"


def _plain(name: str) -> AliasChoices:
    """The names under which a setting is read: with the prefix, or plain."""
    return AliasChoices(f"{PREFIX}{name}", name)


class Settings(BaseSettings):
    """All settings, validated. Build it by `load_settings`, which turns problems into one clear message."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True, validate_default=True
    )

    # PostgreSQL, the source
    database_url: SecretStr | None = Field(
        None,
        validation_alias=_plain("DATABASE_URL"),
        description="postgresql:// URI of the source; unset: embedded PostgreSQL",
    )
    source_schema: str = Field("public", min_length=1, max_length=63, description="schema of the ten tables")
    source_connect_timeout_seconds: int = Field(10, ge=1, le=300, description="seconds to connect")
    source_statement_timeout_seconds: int = Field(0, ge=0, le=86_400, description="limit of one statement, 0 is none")
    max_source_connections: int = Field(8, ge=1, le=500, description="connections the migration may hold")

    # MongoDB, the target
    mongodb_uri: SecretStr | None = Field(
        None,
        validation_alias=_plain("MONGODB_URI"),
        description="mongodb:// or mongodb+srv:// URI of the target; unset: embedded server",
    )
    mongodb_database: str = Field(
        "investigations",
        validation_alias=_plain("MONGODB_DATABASE"),
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="target database",
    )
    enable_mongodb: bool = Field(
        True, validation_alias=_plain("ENABLE_MONGODB"), description="false: services run without MongoDB"
    )
    fail_on_mongodb_error: bool = Field(
        True,
        validation_alias=_plain("FAIL_ON_MONGODB_ERROR"),
        description="false: start degraded when MongoDB cannot be reached",
    )
    max_pool_size: int = Field(50, ge=1, le=1000, description="MongoDB connections a client may hold")
    min_pool_size: int = Field(0, ge=0, le=1000, description="MongoDB connections kept warm")
    server_selection_timeout_seconds: float = Field(10, gt=0, le=300, description="seconds to find a server")
    connect_timeout_seconds: float = Field(10, gt=0, le=300, description="seconds to open a socket")
    operation_timeout_seconds: float = Field(30, gt=0, le=3600, description="limit of one interactive operation")
    bulk_timeout_seconds: float = Field(600, gt=0, le=86_400, description="limit of one bulk write or index build")
    compressors: str = Field(
        "",
        pattern=r"^((zstd|snappy|zlib)(,(zstd|snappy|zlib))*)?$",
        description="zstd, snappy, zlib in order of preference",
    )
    tls: bool = Field(False, description="require TLS to MongoDB")
    tls_ca_file: Path | None = Field(None, description="certificate authority file for MongoDB")
    write_concern: Annotated[str, Field(pattern=r"^(majority|[1-9]\d?)$")] = Field(
        "majority", description="majority, or a number of members from 1 to 99"
    )
    read_preference: Literal["primary", "primaryPreferred", "secondaryPreferred", "nearest"] = Field(
        "primary", description="where the explorer reads; everything else reads the primary"
    )

    # The migration
    batch_rows: int = Field(2_000, ge=1, le=100_000, description="documents in one insert")
    partition_rows: int = Field(100_000, ge=100, le=10_000_000, description="rows in one partition")
    workers: int = Field(
        # one more than cores: each waits for its servers now and then
        default_factory=lambda: min(8, (os.cpu_count() or 1) + 1),
        ge=1,
        le=256,
        description="worker processes",
    )
    max_attempts: int = Field(5, ge=1, le=100, description="attempts at a batch on transient errors")

    # The data
    tenancy_rule: TenancyRule = Field(
        TenancyRule.CONSTANT, description="constant: default_tenant; user: the id of the row's user"
    )
    default_tenant: str = Field("default", min_length=1, max_length=255, description="the constant tenant")
    system_user: str = Field(
        "auto-comparison-system", min_length=1, description="user whose investigations all of a tenant may read"
    )
    embedding_model: Literal["structure-hash", "minilm"] = Field(
        "structure-hash", description="structure-hash: built in; minilm: needs the extra [embeddings]"
    )
    vector_dimensions: int = Field(384, ge=8, le=4096, description="numbers in an embedding")
    vector_index: str = Field("anomaly_embedding", pattern=r"^[A-Za-z0-9_-]{1,120}$", description="vector index")
    vector_similarity: Literal["cosine", "dotProduct", "euclidean"] = Field("cosine", description="of the index")
    audit_granularity: Literal["seconds", "minutes", "hours"] = Field("seconds", description="of audit_log")
    runs_granularity: Literal["seconds", "minutes", "hours"] = Field("minutes", description="of detection_runs")
    retention_days: int = Field(
        0, ge=0, le=36_500, description="age at which time series expire, 0 is never; set it after verification"
    )

    # Files and logs
    data_dir: Path = Field(Path(".workbench"), description="folder of the embedded servers")
    embedded_mongodb_port: int = Field(0, ge=0, le=65_535, description="port of the embedded MongoDB, 0 is any free")
    reports_dir: Path = Field(Path("reports"), description="folder of the reports")
    workspace_dir: Path = Field(
        Path(".workbench/workspace"), description="folder of the registry, manifests and packages of investigations"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="of the log on stderr")

    @field_validator("database_url", "mongodb_uri", "tls_ca_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("data_dir", "reports_dir", "workspace_dir")
    @classmethod
    def _from_root(cls, value: Path) -> Path:
        return project_root() / value

    @field_validator("database_url")
    @classmethod
    def _postgresql_uri(cls, value: SecretStr | None) -> SecretStr | None:
        return _require_scheme(value, ("postgresql://", "postgres://"))

    @field_validator("mongodb_uri")
    @classmethod
    def _mongodb_uri(cls, value: SecretStr | None) -> SecretStr | None:
        return _require_scheme(value, ("mongodb://", "mongodb+srv://"))

    def without_secrets(self) -> tuple[Self, tuple[str, ...]]:
        """A copy that may travel to other machines, and the names of the settings that were given and left out."""
        left_out = tuple(name for name in type(self).model_fields if _is_secret(name) and getattr(self, name))
        return self.model_copy(update=dict.fromkeys(left_out)), left_out

    def secrets(self) -> tuple[str, ...]:
        """The secret values themselves, for the scrubbing of reports. Never log them."""
        uris = [uri.get_secret_value() for uri in (self.database_url, self.mongodb_uri) if uri]
        found = [password for uri in uris for pattern in _PASSWORDS for password in pattern.findall(uri)]
        return tuple(dict.fromkeys([*uris, *found, *map(unquote, found)]))


def project_root() -> Path:
    """The nearest folder, from the working directory upwards, that holds a project or its data; else where we are."""
    here = Path.cwd()
    marks = (".workbench", "pyproject.toml", ENV_FILE)
    return next((folder for folder in (here, *here.parents) if any((folder / mark).exists() for mark in marks)), here)


def _require_scheme(value: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if value is not None and not value.get_secret_value().startswith(schemes):
        raise ValueError(f"must start with {' or '.join(schemes)}")
    return value


def _is_secret(field: str) -> bool:
    info = Settings.model_fields.get(field)
    return info is not None and "SecretStr" in str(info.annotation)


def environment_names(field: str) -> tuple[str, ...]:
    """The environment variables that set a field, the preferred one first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (f"{PREFIX}{field.upper()}",)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        overrides: fields given by the command line; they win over the environment.

    Raises:
        ConfigurationError: one message that names each wrong variable, its value unless secret, and what is allowed.
    """
    env_file = project_root() / ENV_FILE
    given = {name: value for name, value in overrides.items() if value is not None}
    problems = _misspelt(os.environ, "environment")
    try:
        problems += _file_problems(env_file)
        settings = Settings(_env_file=env_file, **given)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} is not UTF-8 text.", todo="Write it anew from .env.example.") from None
    except ValidationError as error:
        problems += [_explain(problem) for problem in error.errors(include_url=False)]
    if problems:
        raise ConfigurationError(
            "\n  ".join(["Wrong settings:", *problems]) + "\n.env.example has the names and ranges."
        )
    return settings


def _explain(problem: Any) -> str:
    named = str(problem["loc"][0])
    field = next((name for name in Settings.model_fields if named in (name, *environment_names(name))), named.lower())
    name = environment_names(field)[0] if field in Settings.model_fields else named
    info = Settings.model_fields.get(field)
    found = "(secret)" if _is_secret(field) else repr(problem["input"])
    about = f" ({info.description}{_limits(field)})" if info else ""
    return f"{name}={found}: {problem['msg'].removeprefix('Value error, ')}{about}"


def _file_problems(path: Path) -> list[str]:
    """Lines of an `.env` file that python-dotenv would skip in silence, and names with our prefix that mean nothing."""
    if not path.is_file():
        return []
    problems = []
    for binding in parse_stream(StringIO(path.read_text(encoding="utf-8"))):
        where = f"{path}, line {binding.original.line}"
        comment = binding.key is None and not binding.error
        if not comment and (binding.error or binding.value is None):
            shown = (binding.key or binding.original.string.strip().partition("=")[0])[:60]
            problems.append(f"{where}: expected NAME=value with closed quotes, found something else at {shown!r}")
        elif binding.key:
            problems += _misspelt([binding.key], where)
    return problems


def _misspelt(names: Iterable[str], where: str) -> list[str]:
    known = [*_NO_SETTINGS, *(variable for field in Settings.model_fields for variable in environment_names(field))]
    problems = []
    for name in names:
        if name.startswith(PREFIX) and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            problems.append(f"{where}: {name} is not a setting{meant}")
    return problems


def env_example() -> str:
    """The text of `.env.example`: each setting as a comment with its default, so that nothing is set by copying."""
    lines = [
        "# Settings of the workbench. Generated by `workbench settings --example`; copy to .env and uncomment.",
        "",
    ]
    for name, info in Settings.model_fields.items():
        default = info.default
        if default is PydanticUndefined:
            shown = "one more than the number of cores, at most 8"
        elif default is None:
            shown = ""
        else:
            shown = str(default).lower() if isinstance(default, bool) else str(default)
        variables = environment_names(name)
        also = f" (also {', '.join(variables[1:])})" if variables[1:] else ""
        limits = _limits(name)
        lines += [f"# {info.description}{also}{limits}", f"# {variables[0]}={shown}", ""]
    return "\n".join(lines)


def _limits(name: str) -> str:
    schema = Settings.model_json_schema(by_alias=False)["properties"][name]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if "enum" in schema:
        return f"; one of {', '.join(map(str, schema['enum']))}"
    return f"; {low} to {high}" if low is not None and high is not None else ""


def configure_logging(settings: Settings) -> None:
    """Send the log to stderr at the level that the settings name."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("pymongo").setLevel(logging.WARNING)
