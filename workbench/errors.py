"""The errors of the workbench.

    WorkbenchError
    ├── ConfigurationError        exit 2  a setting or an argument is wrong; nothing was started
    │   └── ParameterError        exit 2  a notebook parameter is unknown or ill-typed
    ├── UnavailableError          exit 3  something the work needs cannot be reached or started
    │   ├── SourceUnavailable             PostgreSQL
    │   ├── TargetUnavailable             MongoDB
    │   └── ServerStartError              an embedded server
    ├── MigrationError            exit 3  the migration could not go on
    │   ├── LossError                     a column would lose data and no rule allows it
    │   └── SnapshotLost                  the source's snapshot ended before the run did
    ├── NotebookError             exit 3  a notebook broke: exception, dead kernel, timeout
    └── DataError                         an operation on the target was refused
        ├── NotFound                      the document does not exist, or belongs to another tenant
        ├── AlreadyExists                 the natural key is taken
        ├── VersionConflict               someone else changed the document first
        ├── InvalidInput                  a value breaks a rule of its model
        └── AccessDenied                  the document exists, but this user may not do that

Each error carries its facts as attributes and makes its message from them: what happened, to what, what was
expected, what was found, what to do. Driver errors are translated in `connections` and chained.
"""

from __future__ import annotations

from typing import ClassVar


class WorkbenchError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, todo: str = "") -> None:
        self.what = what
        self.todo = todo
        super().__init__(f"{what} {todo}".strip())


class ConfigurationError(WorkbenchError):
    """A setting, an argument or a file that the user gave is wrong. Nothing was started."""

    exit_code = 2


class ParameterError(ConfigurationError):
    """A notebook parameter is unknown or has the wrong type. No kernel was started."""


class UnavailableError(WorkbenchError):
    """Something the work needs cannot be reached or started."""


class SourceUnavailable(UnavailableError):
    """PostgreSQL cannot be reached, or refuses us."""


class TargetUnavailable(UnavailableError):
    """MongoDB cannot be reached, or refuses us."""


class ServerStartError(UnavailableError):
    """An embedded server did not start; `log_tail` holds the end of its log."""

    def __init__(self, what: str, *, log_tail: str = "", todo: str = "") -> None:
        self.log_tail = log_tail
        super().__init__(f"{what}\n--- end of its log ---\n{log_tail}\n---" if log_tail else what, todo=todo)


class MigrationError(WorkbenchError):
    """The migration could not go on; what is already in the target stays valid and the same command resumes."""


class LossError(MigrationError):
    """A column would lose data and no rule of its table allows it."""


class SnapshotLost(MigrationError):
    """PostgreSQL ended the exported snapshot before the run was over."""


class NotebookError(WorkbenchError):
    """A notebook broke: an exception in a cell, a dead kernel, or a timeout."""


class DataError(WorkbenchError):
    """An operation on the target was refused; the stored data is unchanged."""

    exit_code = 1


class NotFound(DataError):
    """The document does not exist, or belongs to another tenant (the two are never told apart)."""

    def __init__(self, collection: str, key: object) -> None:
        self.collection, self.key = collection, key
        super().__init__(f"{collection}: no document with key {key!r}.")


class AlreadyExists(DataError):
    """The natural key of a new document is taken."""

    def __init__(self, collection: str, key: object) -> None:
        self.collection, self.key = collection, key
        super().__init__(f"{collection}: a document with key {key!r} exists already.")


class VersionConflict(DataError):
    """Someone else changed the document first."""

    def __init__(self, collection: str, key: object, *, expected: int, actual: int) -> None:
        self.collection, self.key, self.expected, self.actual = collection, key, expected, actual
        super().__init__(
            f"{collection}: {key!r} has version {actual}, the change expected {expected}.",
            todo="Read it again and repeat the change.",
        )


class InvalidInput(DataError):
    """A value breaks a rule of its model; `field` names it."""

    def __init__(self, field: str, what: str) -> None:
        self.field = field
        super().__init__(f"{field}: {what}")


class AccessDenied(DataError):
    """The document is the tenant's, but this user may not do that to it."""
