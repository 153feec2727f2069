"""PostgreSQL by URL."""

from __future__ import annotations

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from agentgym.core.errors import ConfigError, UsageError
from agentgym.database.schema import Schema


def open_postgres(schema: Schema, url: URL, *, create: bool) -> Engine:
    """Open the PostgreSQL database at `url`, and make the tables where there are none and `create` is true.

    Raises `ConfigError` without the driver, `UsageError` where the tables are of another version, `StoreFault`
    where the server or the database is not to be had.
    """
    try:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ImportError as error:
        raise ConfigError(
            "PostgreSQL needs the package psycopg: pip install 'agentgym-harness[postgres]'."
        ) from error
    where = shown(url)
    try:
        with schema.faults(where, "open"), engine.begin() as connection:
            # Two that open an empty database at once make the tables once.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": schema.application_id})
            _prepare(schema, connection, where, create)
    except BaseException:
        engine.dispose()
        raise
    return engine


def shown(url: URL) -> str:
    """Return a URL as messages may show it: without its password."""
    return url.render_as_string(hide_password=True)


def postgres_url(location: str) -> URL:
    """Return the URL of a database; raises `UsageError` for what is none."""
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise UsageError("Not the URL of a database; it looks like postgresql://user@host/name.") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise UsageError(f"Databases are a path of a SQLite file or a postgresql:// URL, got {shown(url)!r}.")
    return url


def _prepare(schema: Schema, connection: Connection, where: str, create: bool) -> None:
    known = None
    if inspect(connection).has_table("agentgym_schemas"):
        asked = text("SELECT version FROM agentgym_schemas WHERE name = :name")
        known = connection.execute(asked, {"name": schema.name}).scalar()
    if known is not None:
        schema.check_version(where, known)
        for step in range(known, schema.version):
            for statement in schema.migrations[step]:
                connection.execute(text(statement))
        note = text("UPDATE agentgym_schemas SET version = :version WHERE name = :name")
        connection.execute(note, {"name": schema.name, "version": schema.version})
        return
    if not create:
        raise UsageError(f"There is no {schema.name} at {where}; check the URL.")
    connection.execute(
        text("CREATE TABLE IF NOT EXISTS agentgym_schemas (name TEXT PRIMARY KEY, version INTEGER)")
    )
    schema.metadata.create_all(connection)
    note = text("INSERT INTO agentgym_schemas (name, version) VALUES (:name, :version)")
    connection.execute(note, {"name": schema.name, "version": schema.version})
