"""What the store's database is; see `agentgym.database` for how it is opened."""

from __future__ import annotations

from agentgym.database import Schema
from agentgym.store.migrations import MIGRATIONS
from agentgym.store.tables import APPLICATION_ID, SCHEMA_VERSION, StoreRow

STORE = Schema(
    name="store",
    metadata=StoreRow.metadata,
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    migrations=MIGRATIONS,
    advice={
        "UNIQUE": "That record is there already; `Store.delete_from` makes room to redo an iteration.",
        "FOREIGN KEY": "The run is not in the store; add it with `Store.create_run`.",
    },
)
