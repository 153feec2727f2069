"""The shop's database: all products in SQLite with a full-text index, built once and kept on disk."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import threading
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.webshop.catalogue import PRODUCTS, VERSION, Product, product

CACHE = "AGENTGYM_CACHE"
"""The environment variable that names the folder to keep the database in; else the user's cache folder."""
MOST_FOUND = 50
"""Most products that a search finds, as in WebShop."""
ENOUGH = 5
"""So many products with all the words of a query, and those with some are not looked for."""
MOST_WORDS = 24
"""Words of a query that are looked for."""

_SCHEMA = """
CREATE TABLE products (number INTEGER PRIMARY KEY, code TEXT UNIQUE, category INTEGER, price INTEGER, title TEXT);
CREATE VIRTUAL TABLE texts USING fts5(title, features, choices, tokenize = 'porter unicode61');
"""
_FIND = "SELECT rowid - 1 FROM texts WHERE texts MATCH ? ORDER BY rank, rowid LIMIT ?"
_WORD = re.compile(r"[a-z0-9]+")


class Stock:
    """The products on sale; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        address = f"{path.as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(address, uri=True, check_same_thread=False)
        self._found = lru_cache(maxsize=1 << 15)(self._search)

    def number(self, code: str) -> int | None:
        """Return the number of the product with this code."""
        with self._lock:
            row = self._database.execute("SELECT number FROM products WHERE code = ?", (code,)).fetchone()
        return None if row is None else int(row[0])

    def search(self, query: str) -> tuple[int, ...]:
        """Return the numbers of the products that fit a query best: those with all its words first, each by BM25."""
        words = tuple(dict.fromkeys(_WORD.findall(query.lower())))
        return self._found(words[:MOST_WORDS])

    def _search(self, words: tuple[str, ...]) -> tuple[int, ...]:
        if not words:
            return ()
        found: dict[int, None] = {}
        for joined in (" AND ", " OR "):
            wanted = joined.join(f'"{word}"' for word in words)
            with self._lock:
                rows = self._database.execute(_FIND, (wanted, MOST_FOUND)).fetchall()
            found |= dict.fromkeys(int(row[0]) for row in rows)
            if len(found) >= ENOUGH:
                break
        return tuple(found)[:MOST_FOUND]


def open_stock() -> Stock:
    """Return this process's database, building it where there is none yet."""
    return _open(os.getpid())  # no connection outlives a fork


@lru_cache(maxsize=1)
def _open(process: int) -> Stock:
    del process
    path = cache_folder() / f"webshop-{VERSION}.sqlite"
    if not path.exists():
        build(path)
    return Stock(path)


def _choices(each: Product) -> str:
    return ", ".join(f"{option} {value}" for option, values in each.options for value in values)


def cache_folder() -> Path:
    """Return the folder of files that can be made again."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "agentgym"


def build(path: Path) -> None:
    """Write the database: to a file beside it first, so that nobody ever sees a half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        os.close(handle)
    except OSError as error:
        raise EnvironmentFault(
            f"The shop's database cannot be kept in {path.parent} ({error.strerror}); name another folder in {CACHE}."
        ) from error
    made = Path(name)
    try:
        with closing(sqlite3.connect(made)) as database:
            database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
            goods = [product(number) for number in range(PRODUCTS)]
            database.executemany(
                "INSERT INTO products VALUES (?, ?, ?, ?, ?)",
                [(each.number, each.code, each.category, each.price, each.title) for each in goods],
            )
            database.executemany(
                "INSERT INTO texts (rowid, title, features, choices) VALUES (?, ?, ?, ?)",
                [
                    (each.number + 1, each.title, " ".join(each.attributes[2:]), _choices(each))
                    for each in goods
                ],
            )
            database.execute("INSERT INTO texts (texts) VALUES ('optimize')")
            database.commit()
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
