"""Names, addresses and places for the rows of databases."""

from __future__ import annotations

import random

FIRST_NAMES = (
    "Ana", "Ben", "Carla", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lena", "Marc", "Nora",
    "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wim", "Yara", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Adler", "Berg", "Costa", "Dumas", "Eriks", "Faro", "Gomez", "Haas", "Ivanov", "Jansen", "Klein", "Lopez", "Moreau",
    "Novak", "Okoye", "Peters", "Rossi", "Silva", "Tanaka", "Weber",
)  # fmt: skip
CITIES = ("Lisbon", "Oslo", "Turin", "Ghent", "Graz", "Cork", "Malmo", "Porto", "Basel", "Lyon")
STREETS = ("Mill Road", "High Street", "Park Lane", "Station Road", "Church Street", "Garden Way")


def people(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Return `count` people, no two of one name: full name and mail address."""
    pairs = [(first, last) for first in FIRST_NAMES for last in LAST_NAMES]
    return [
        (f"{first} {last}", f"{first}.{last}@mail.test".lower()) for first, last in rng.sample(pairs, count)
    ]
