"""What fills a phone: names, places, things. Drawn without repetition, so that names name one thing."""

from __future__ import annotations

from random import Random

FIRST_NAMES = [
    "Ana",
    "Ben",
    "Carla",
    "David",
    "Elif",
    "Farah",
    "George",
    "Hana",
    "Ivan",
    "Julia",
    "Kofi",
    "Lena",
    "Marco",
    "Nadia",
    "Omar",
    "Petra",
    "Quinn",
    "Rosa",
    "Sami",
    "Tara",
    "Umar",
    "Vera",
    "Wim",
    "Xenia",
    "Yusuf",
    "Zoe",
]
LAST_NAMES = [
    "Adler",
    "Brandt",
    "Cohen",
    "Diaz",
    "Evans",
    "Fischer",
    "Garcia",
    "Hansen",
    "Ito",
    "Jansen",
    "Kumar",
    "Lopez",
    "Moreau",
    "Novak",
    "Okafor",
    "Park",
    "Rossi",
    "Silva",
    "Tanaka",
    "Weber",
]
CITIES = [
    "Accra",
    "Bogota",
    "Cairo",
    "Dublin",
    "Hanoi",
    "Jakarta",
    "Kyoto",
    "Lagos",
    "Lima",
    "Lisbon",
    "Madrid",
    "Nairobi",
    "Oslo",
    "Prague",
    "Quito",
    "Riga",
    "Rome",
    "Seoul",
    "Sofia",
    "Tunis",
    "Vienna",
    "Warsaw",
    "Zagreb",
]
ERRANDS = [
    f"{verb} the {thing}"
    for verb, things in {
        "Clean": ["kitchen", "car", "windows", "oven"],
        "Repair": ["bicycle", "lamp", "chair", "tap"],
        "Return": ["library book", "parcel", "drill", "ladder"],
        "Water": ["plants", "garden", "roses", "lawn"],
        "Call": ["dentist", "landlord", "bank", "plumber"],
        "Book": ["train", "hotel", "ferry", "table"],
    }.items()
    for thing in things
]
EVENTS = [
    f"{kind} {event}"
    for kind in ("Team", "Family", "Project", "School", "Budget", "Garden")
    for event in ("meeting", "lunch", "review", "call")
]
PLACES = ["Library", "Town hall", "Room 12", "Cafe Luna", "Main station", "Studio B", "Harbour", "Museum"]
NOTE_TITLES = [
    "Recipe ideas",
    "Packing list",
    "Gift ideas",
    "Book list",
    "Film list",
    "Garden plan",
    "Meeting notes",
    "Travel plan",
    "Party plan",
    "Shopping list",
    "Quotes",
    "Passwords hint",
    "House rules",
    "Workout plan",
    "Car notes",
    "Wine list",
]
NOTE_TEXTS = [
    f"{verb} {thing}"
    for verb in ("Buy", "Remember", "Look for", "Ask about", "Compare")
    for thing in ("fresh bread", "the blue paint", "two tickets", "a good map", "new shoes", "the spare key")
]
SENTENCES = [
    f"{begin} {end}"
    for begin in ("I am", "We are", "They are", "Both of us are")
    for end in (
        "on the way",
        "running late",
        "at the station",
        "ready to go",
        "still at work",
        "home by seven",
    )
]
FILE_STEMS = [
    "budget",
    "report",
    "invoice",
    "photo",
    "contract",
    "map",
    "ticket",
    "recipe",
    "letter",
    "scan",
    "poster",
    "diary",
    "song",
    "menu",
    "plan",
    "sketch",
]
FILE_ENDINGS = ["pdf", "txt", "jpg", "csv"]
FOLDERS = ["Documents", "Downloads", "Pictures", "Music"]
NEW_FOLDERS = ["Archive", "Backup", "Family", "Holidays", "Receipts", "Projects", "School", "Work"]
ADJECTIVES = ["Blue", "Green", "Red", "White", "Black", "Small", "Large", "Soft", "Bright", "Classic"]
GOODS = [
    "lamp",
    "kettle",
    "backpack",
    "umbrella",
    "notebook",
    "headphones",
    "mug",
    "blanket",
    "clock",
    "scarf",
]
SONG_WORDS = [
    "Midnight",
    "Golden",
    "River",
    "Summer",
    "Paper",
    "Silver",
    "Distant",
    "Hidden",
    "Electric",
    "Quiet",
]
SONG_ENDS = ["Train", "Sky", "Garden", "Letters", "Road", "Island", "Mirror", "Dance"]
NETWORKS = ["Fox-Net", "Blue-House", "Cafe-Luna", "Skyline", "Nordlicht", "Guest-7", "Rivendell", "Attic"]
DEVICE_NAMES = ["Pocket", "Comet", "Willow", "Nimbus", "Falcon", "Pebble", "Orchid", "Saturn"]
STREETS = ["Mill Lane", "Park Road", "Station Street", "Oak Avenue", "Bridge Street", "Hill Road"]


def person(random: Random) -> str:
    """Return a first and a last name."""
    return f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"


def people(random: Random, count: int) -> list[str]:
    """Return people no two of whom share a first name."""
    return [f"{first} {random.choice(LAST_NAMES)}" for first in random.sample(FIRST_NAMES, count)]


def telephone(random: Random) -> str:
    """Return a telephone number."""
    return f"555-{random.randrange(10000):04d}"


def email(name: str, random: Random) -> str:
    """Return an address for a name."""
    return f"{name.split()[0].lower()}@{random.choice(['mail', 'post', 'web'])}.example"


def date(random: Random) -> str:
    """Return a day in the second half of the year in which tasks play."""
    return f"2026-{random.randrange(6, 13):02d}-{random.randrange(1, 29):02d}"


def time(random: Random) -> str:
    """Return a time of day."""
    return f"{random.randrange(6, 23):02d}:{random.choice([0, 10, 15, 20, 30, 40, 45, 50]):02d}"


def file_name(random: Random) -> str:
    """Return a file name."""
    return f"{random.choice(FILE_STEMS)}{random.randrange(10, 100)}.{random.choice(FILE_ENDINGS)}"


def product(random: Random) -> str:
    """Return the name of a product."""
    return f"{random.choice(ADJECTIVES)} {random.choice(GOODS)}"


def song(random: Random) -> str:
    """Return the title of a song."""
    return f"{random.choice(SONG_WORDS)} {random.choice(SONG_ENDS)}"


def address(random: Random) -> str:
    """Return a street with a number."""
    return f"{random.randrange(1, 100)} {random.choice(STREETS)}"
