"""Sample data of the source system: its schema, and deterministic rows at any scale, good and bad."""

from workbench.sample.ddl import SAMPLE_SCHEMA, TABLES, create_schema, drop_schema
from workbench.sample.generate import DEFAULT_SEED, Progress, fill
from workbench.sample.kinds import KINDS, Kind
from workbench.sample.manifest import SampleManifest, read_manifest

__all__ = [
    "DEFAULT_SEED",
    "KINDS",
    "SAMPLE_SCHEMA",
    "TABLES",
    "Kind",
    "Progress",
    "SampleManifest",
    "create_schema",
    "drop_schema",
    "fill",
    "read_manifest",
]
