"""What a home contains: rooms, classes of receptacles and objects, and what goes where.

Class names are ALFWorld's, so that a generated game can be written out as one of its folders; the
contents of the tables are this world's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agentgym.environments.household.tables import CLEANER, COOLER, HEATER


class Room(StrEnum):
    """A game plays in one room."""

    KITCHEN = "kitchen"
    BATHROOM = "bathroom"
    BEDROOM = "bedroom"
    LIVING_ROOM = "livingroom"


OPENABLE = frozenset({"Cabinet", "Drawer", "Fridge", "Microwave", "Safe"})
"""Receptacle classes with a door; shut when a game begins."""

CONTAINERS = OPENABLE | {"BathtubBasin", "CoffeeMachine", "GarbageCan", "LaundryHamper", "SinkBasin"}
"""Receptacle classes that one puts things *in*; on the others one puts things *on*."""

SINGLE = frozenset({"CoffeeMachine", "HandTowelHolder", "StoveBurner", "ToiletPaperHanger", "TowelHolder"})
"""Receptacle classes that nobody would be asked to put two things into."""

_TABLES = frozenset({"CoffeeTable", "CounterTop", "DiningTable", "SideTable"})
_BOARDS = frozenset({"Cart", "Desk", "Dresser", "Shelf"})
_SEATS = frozenset({"ArmChair", "Ottoman", "Sofa"})
_WASTE = frozenset({"GarbageCan"})
_FLAT = _TABLES | _BOARDS
_SMALL = _FLAT | {"Drawer"}
_FOOD = (_TABLES - {"CoffeeTable"}) | _WASTE | {COOLER, HEATER, CLEANER}
_DISH = _TABLES | {"Cabinet", "Shelf", CLEANER}
_CUTLERY = _TABLES | {"Drawer", CLEANER}
_TOILETRY = _FLAT | _WASTE | {"Cabinet", "Drawer", "Toilet"}
_VALUABLE = _SMALL | {"Safe"}


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """A class of movable or usable things."""

    name: str
    rooms: frozenset[Room]
    places: frozenset[str]
    """Receptacle classes it can be in."""
    pickupable: bool = True
    cleanable: bool = False
    heatable: bool = False
    coolable: bool = False
    sliceable: bool = False
    toggleable: bool = False
    holds_others: bool = False
    slices: bool = False


_ROOM_OF_LETTER = {
    "K": Room.KITCHEN,
    "W": Room.BATHROOM,
    "B": Room.BEDROOM,
    "L": Room.LIVING_ROOM,
}


def _thing(name: str, rooms: str, places: frozenset[str], traits: str = "") -> ObjectClass:
    """Make a class from letters of rooms (Kitchen, Washroom, Bedroom, Living room) and words for traits."""
    has = frozenset(traits.split())
    return ObjectClass(
        name=name,
        rooms=frozenset(_ROOM_OF_LETTER[letter] for letter in rooms),
        places=places,
        pickupable="fixed" not in has,
        cleanable="clean" in has,
        heatable="heat" in has,
        coolable="cool" in has,
        sliceable="cut" in has,
        toggleable="switch" in has,
        holds_others="hollow" in has,
        slices="blade" in has,
    )


_CLASSES = (
    # food
    _thing("Apple", "K", _FOOD, "clean heat cool cut"),
    _thing("Bread", "K", _FOOD - {CLEANER}, "heat cool cut"),
    _thing("Egg", "K", _FOOD, "clean heat cool cut"),
    _thing("Lettuce", "K", _FOOD - {HEATER}, "clean cool cut"),
    _thing("Potato", "K", _FOOD, "clean heat cool cut"),
    _thing("Tomato", "K", _FOOD, "clean heat cool cut"),
    # cutlery and cooking
    _thing("ButterKnife", "K", _CUTLERY, "clean blade"),
    _thing("Fork", "K", _CUTLERY, "clean"),
    _thing("Kettle", "K", _DISH | {"StoveBurner"}, "clean"),
    _thing("Knife", "K", _CUTLERY, "clean blade"),
    _thing("Ladle", "K", _CUTLERY | {"Cabinet"}, "clean"),
    _thing("Pan", "K", (_DISH - {"Shelf"}) | {"StoveBurner", COOLER}, "clean cool hollow"),
    _thing("PepperShaker", "K", _SMALL | {"Cabinet"}),
    _thing("Pot", "K", _DISH | {"StoveBurner", COOLER}, "clean cool hollow"),
    _thing("SaltShaker", "K", _SMALL | {"Cabinet"}),
    _thing("Spatula", "K", _CUTLERY, "clean"),
    _thing("Spoon", "K", _CUTLERY, "clean"),
    # dishes and bottles
    _thing("Bowl", "KL", _DISH | {"Dresser", COOLER, HEATER}, "clean cool hollow"),
    _thing("Cup", "K", _DISH | {COOLER, HEATER}, "clean heat cool hollow"),
    _thing("Glassbottle", "K", _DISH | _WASTE | {COOLER}),
    _thing("Mug", "KB", _DISH | {"CoffeeMachine", "Desk", COOLER, HEATER}, "clean heat cool hollow"),
    _thing("Plate", "KL", _DISH | {COOLER, HEATER}, "clean heat cool hollow"),
    _thing("WineBottle", "K", (_DISH - {CLEANER}) | _WASTE | {COOLER}, "cool"),
    # washing
    _thing("Candle", "W", _SMALL | {"Cabinet", "Toilet"}),
    _thing("Cloth", "WB", _TOILETRY | {"BathtubBasin", "LaundryHamper", CLEANER}, "clean"),
    _thing("DishSponge", "KW", (_TOILETRY - {"Dresser"}) | {"BathtubBasin", CLEANER}, "clean"),
    _thing("HandTowel", "W", _TOILETRY | {"BathtubBasin", "HandTowelHolder", CLEANER}),
    _thing("SoapBar", "W", _TOILETRY | {"BathtubBasin", CLEANER}, "clean"),
    _thing("SoapBottle", "KW", _TOILETRY),
    _thing("SprayBottle", "W", _TOILETRY),
    _thing("TissueBox", "WBL", _TOILETRY | {"TVStand"}),
    _thing("ToiletPaper", "W", _TOILETRY | {"ToiletPaperHanger"}),
    _thing("Towel", "W", frozenset({"BathtubBasin", "CounterTop", "LaundryHamper", "Shelf", "TowelHolder"})),
    # bedroom and living room
    _thing("AlarmClock", "B", _FLAT),
    _thing("BaseballBat", "B", frozenset({"Bed", "CounterTop", "Desk", "Dresser", "SideTable"})),
    _thing("BasketBall", "B", _SEATS | {"Bed", "Desk", "Dresser"}),
    _thing("Book", "BL", _SMALL | _SEATS | {"Bed", "Cabinet"}),
    _thing("Box", "L", _FLAT | _SEATS | {"Cabinet"}, "hollow"),
    _thing("CD", "B", _VALUABLE | _WASTE | {"Cabinet"}),
    _thing("CellPhone", "B", _VALUABLE | _SEATS | {"Bed"}),
    _thing("CreditCard", "BL", _VALUABLE | _SEATS),
    _thing("KeyChain", "BL", _VALUABLE | _SEATS),
    _thing("Laptop", "BL", _TABLES | _SEATS | {"Bed", "Desk", "Dresser"}),
    _thing("Newspaper", "L", _SMALL | _SEATS | _WASTE | {"Cabinet"}),
    _thing("Pen", "B", _SMALL | _WASTE),
    _thing("Pencil", "B", _SMALL | _WASTE),
    _thing("Pillow", "BL", _SEATS | {"Bed"}),
    _thing("RemoteControl", "L", _SMALL | _SEATS | {"TVStand"}),
    _thing("Statue", "L", _FLAT | {"Safe", "TVStand"}),
    _thing("TennisRacket", "B", frozenset({"Bed", "Desk", "Dresser", "SideTable"})),
    _thing("Vase", "L", _FLAT | {"Cabinet", "Safe"}),
    _thing("Watch", "BL", _VALUABLE),
    _thing("WateringCan", "L", _FLAT | {"Cabinet"}),
    # lamps
    _thing("DeskLamp", "BL", frozenset({"Desk", "Dresser", "Shelf", "SideTable"}), "fixed switch"),
    _thing("FloorLamp", "BL", frozenset({"CoffeeTable", "Dresser", "SideTable"}), "fixed switch"),
)

OBJECTS: dict[str, ObjectClass] = {each.name: each for each in _CLASSES}
"""Every class of things by name."""


def objects_of(room: Room) -> tuple[ObjectClass, ...]:
    """Return the classes of things found in `room`, in a fixed order."""
    return tuple(each for each in _CLASSES if room in each.rooms)
