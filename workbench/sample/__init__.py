"""Sample data of the source system: its schema, and deterministic rows at any scale, good and bad."""

from workbench.sample.ddl import SAMPLE_SCHEMA, TABLES, create_schema, drop_schema
from workbench.sample.generate import fill
from workbench.sample.kinds import KINDS, Kind
from workbench.sample.manifest import SampleManifest, read_manifest

__all__ = [
    "KINDS",
    "SAMPLE_SCHEMA",
    "TABLES",
    "Kind",
    "SampleManifest",
    "create_schema",
    "drop_schema",
    "fill",
    "read_manifest",
]
