"""Databases for what is kept: a SQLite file, or PostgreSQL by URL. Creation, the check of what it is, errors in words.

Nothing here deletes, renames or empties anything: a database that cannot be used is left as it is.
"""

from agentgym.database.database import Database
from agentgym.database.schema import Migrations, Schema
from agentgym.database.sqlite import connect, copy_sqlite, open_sqlite, transaction

__all__ = ["Database", "Migrations", "Schema", "connect", "copy_sqlite", "open_sqlite", "transaction"]
