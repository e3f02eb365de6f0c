"""Investigation workbench: move a fraud-investigation platform from PostgreSQL to MongoDB, and prove it."""

from importlib.metadata import version

__version__ = version("investigation-workbench")
