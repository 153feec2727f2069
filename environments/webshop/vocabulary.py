"""What the shop sells: forty kinds of products with what there is to say and to choose about each.

A line: department, kind, whether it is kept for held-out tasks, lowest and highest price in dollars, the lines
that products come in, options, attributes. Every attribute and option value is one that its kind can have.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = "black white grey navy_blue sky_blue red green pink purple orange yellow brown beige teal"
_SIZES = "x-small small medium large x-large xx-large"
_SHOES = "6 7 8 9 10 11 12"
_PACKS = "1_pack 2_pack 3_pack 6_pack"
_WOODS = "oak walnut pine maple espresso"

BRANDS = [
    "Norvik",
    "Calder",
    "Tamsin",
    "Ostrava",
    "Brillo",
    "Fenwick",
    "Halden",
    "Marlowe",
    "Kestrel",
    "Lumina",
    "Orrin",
    "Pellworm",
    "Quillon",
    "Ravenna",
    "Sorrel",
    "Tideway",
    "Umber",
    "Varden",
    "Westmark",
    "Yarrow",
    "Zephyra",
    "Alderby",
    "Corvo",
    "Dunmore",
]

_TABLE = """
Shoes | running shoes | train | 35 140 | Glide Sprint Stride Tempo | size: {SHOES}; color: {COLOURS} | waterproof, lightweight, breathable, non slip, arch support, memory foam, wide fit, reflective
Shoes | hiking boots | train | 60 220 | Ridge Summit Trail Crag | size: {SHOES}; color: {COLOURS} | waterproof, insulated, steel toe, ankle support, non slip, leather, quick lace, vegan
Shoes | sandals | train | 15 80 | Dune Lagoon Coast Palm | size: {SHOES}; color: {COLOURS} | open toe, arch support, quick drying, ankle strap, memory foam, vegan, non slip, handmade
Shoes | slippers | heldout | 12 60 | Ember Hearth Cloud Nook | size: {SHOES}; color: {COLOURS} | memory foam, machine washable, faux fur, non slip, indoor outdoor, lightweight, closed back, warm
Clothing | rain jacket | train | 30 160 | Squall Drift Harbor Gale | size: {SIZES}; color: {COLOURS} | waterproof, hooded, packable, breathable, windproof, lightweight, long sleeve, zip pockets
Clothing | t-shirt | train | 8 40 | Basic Daily Plain Loft | size: {SIZES}; color: {COLOURS} | organic cotton, slim fit, long sleeve, crew neck, machine washable, wrinkle free, moisture wicking, heavyweight
Clothing | yoga pants | train | 15 70 | Flow Lotus Bend Calm | size: {SIZES}; color: {COLOURS} | high waist, side pockets, tummy control, squat proof, moisture wicking, ankle length, organic cotton, seamless
Clothing | wool sweater | train | 30 150 | Fjord Highland Loom Hearth | size: {SIZES}; color: {COLOURS} | merino, crew neck, cable knit, hand wash, itch free, slim fit, turtleneck, fair trade
Clothing | swim trunks | heldout | 12 60 | Reef Lagoon Surf Bay | size: {SIZES}; color: {COLOURS} | quick drying, mesh lining, elastic waist, sun protection, zip pockets, long leg, recycled fabric, chlorine resistant
Clothing | work gloves | train | 8 45 | Anvil Grip Forge Haul | size: {SIZES}; color: {COLOURS} | cut resistant, touchscreen, waterproof, leather palm, insulated, breathable, high visibility, machine washable
Furniture | bookcase | train | 50 300 | Alcove Study Folio Gable | finish: {WOODS}; shelves: 3_shelves 4_shelves 5_shelves 6_shelves | solid wood, easy assembly, adjustable, wall mounted, space saving, with doors, scratch resistant, industrial
Furniture | office chair | train | 70 400 | Perch Axis Motion Desk | color: {COLOURS} | lumbar support, adjustable height, mesh back, leather, armrests, headrest, heavy duty, easy assembly
Furniture | coffee table | train | 60 350 | Parlor Salon Loft Grove | finish: {WOODS}; size: small medium large | solid wood, glass top, storage drawer, lift top, round, easy clean, industrial, easy assembly
Furniture | nightstand | heldout | 30 180 | Dusk Lull Nocturne Rest | finish: {WOODS}; drawers: 1_drawer 2_drawers 3_drawers | solid wood, charging station, soft close, space saving, easy assembly, with lamp, floating, scratch resistant
Furniture | bar stool | train | 40 220 | Counter Tavern Pub Perch | color: {COLOURS}; height: 24_inch 26_inch 30_inch | swivel, with back, adjustable height, faux leather, heavy duty, footrest, stackable, solid wood
Home | throw blanket | train | 15 90 | Cozy Haven Drape Snug | size: small medium large; color: {COLOURS} | fleece, machine washable, double sided, super soft, hypoallergenic, cable knit, organic cotton, weighted
Home | blackout curtains | train | 18 110 | Shade Eclipse Veil Dusk | length: 63_inch 84_inch 95_inch 108_inch; color: {COLOURS} | thermal insulated, noise reducing, machine washable, grommet top, energy efficient, wrinkle free, double lined, rod pocket
Home | area rug | train | 30 260 | Weave Mosaic Kilim Terra | size: 4x6 5x7 8x10 9x12; color: {COLOURS} | non slip, machine washable, stain resistant, low pile, hand woven, pet friendly, fade resistant, jute
Home | table lamp | train | 20 120 | Beacon Glow Ember Halo | color: {COLOURS}; style: modern classic rustic | dimmable, usb port, touch control, energy efficient, ceramic base, with bulb, wireless, eco friendly
Home | wall clock | heldout | 12 90 | Meridian Tempo Chime Orbit | size: 10_inch 12_inch 16_inch; color: {COLOURS} | silent, battery operated, easy to read, wooden frame, waterproof, glow in the dark, atomic, vintage
Kitchen | frying pan | train | 18 120 | Sear Skillet Chef Copper | size: 8_inch 10_inch 12_inch; color: {COLOURS} | non stick, induction ready, dishwasher safe, oven safe, cast iron, ceramic coated, with lid, stay cool handle
Kitchen | water bottle | train | 9 50 | Spring Brook Tarn Flask | capacity: 12_oz 18_oz 24_oz 32_oz; color: {COLOURS} | leak proof, insulated, bpa free, stainless steel, wide mouth, with straw, dishwasher safe, time marker
Kitchen | chef knife | train | 20 160 | Edge Blade Talon Steel | length: 6_inch 8_inch 10_inch; handle: wood resin steel | high carbon, hand forged, dishwasher safe, full tang, with sheath, rust resistant, left handed, damascus
Kitchen | electric kettle | train | 22 110 | Boil Steam Simmer Rapid | capacity: 1_liter 1.5_liter 1.7_liter; color: {COLOURS} | temperature control, auto shut off, gooseneck, bpa free, double wall, keep warm, stainless steel, cordless
Kitchen | lunch box | heldout | 10 45 | Bento Tiffin Nosh Picnic | compartments: 1_section 2_sections 3_sections; color: {COLOURS} | leak proof, microwave safe, bpa free, insulated, dishwasher safe, with cutlery, stackable, eco friendly
Food | green tea | train | 6 40 | Sencha Meadow Jade Mist | flavor: plain jasmine mint lemon ginger; size: {PACKS} | organic, caffeine free, fair trade, loose leaf, sugar free, individually wrapped, gluten free, kosher
Food | protein bars | train | 10 50 | Fuel Peak Boost Core | flavor: chocolate peanut_butter vanilla coconut berry; size: {PACKS} | high protein, low sugar, gluten free, plant based, keto friendly, nut free, non gmo, low carb
Food | trail mix | train | 7 40 | Camp Grove Harvest Path | flavor: fruit chocolate spicy salted tropical; size: {PACKS} | unsalted, organic, resealable, no added sugar, non gmo, vegan, gluten free, high fiber
Food | olive oil | train | 9 60 | Olivar Grove Costa Picual | size: 250_ml 500_ml 1_liter; flavor: plain lemon garlic basil | extra virgin, cold pressed, organic, unfiltered, first harvest, glass bottle, kosher, single origin
Food | popcorn | heldout | 5 30 | Pop Reel Matinee Kernel | flavor: butter salted caramel cheddar spicy; size: {PACKS} | gluten free, air popped, non gmo, whole grain, low calorie, vegan, microwave safe, dairy free
Beauty | face cream | train | 9 80 | Dew Bloom Velvet Aura | size: 1_oz 2_oz 4_oz; scent: unscented rose lavender aloe | fragrance free, cruelty free, anti aging, oil free, sun protection, for sensitive skin, vegan, paraben free
Beauty | shampoo | train | 6 40 | Silk Cascade Tonic Rinse | size: 8_oz 12_oz 16_oz; scent: coconut mint citrus rosemary | sulfate free, color safe, anti dandruff, volumizing, cruelty free, for dry hair, tear free, organic
Beauty | electric toothbrush | train | 18 130 | Sonic Pulse Bright Pearl | color: {COLOURS} | rechargeable, pressure sensor, travel case, with timer, soft bristles, waterproof, whitening, quiet
Beauty | lip balm | heldout | 4 25 | Petal Honey Dew Satin | flavor: mint cherry vanilla honey; size: {PACKS} | sun protection, cruelty free, tinted, organic, long lasting, beeswax, paraben free, for dry lips
Electronics | wireless headphones | train | 25 260 | Echo Tune Chord Studio | color: {COLOURS} | noise cancelling, long battery life, fast charging, water resistant, with microphone, foldable, over ear, low latency
Electronics | phone case | train | 8 45 | Shell Armor Clip Shield | color: {COLOURS}; model: model_12 model_13 model_14 model_15 | shockproof, wireless charging, slim fit, with stand, card holder, scratch resistant, clear, magnetic
Electronics | power bank | train | 15 90 | Volt Surge Reserve Spark | capacity: 5000_mah 10000_mah 20000_mah; color: {COLOURS} | fast charging, lightweight, dual port, solar, with flashlight, wireless charging, airline safe, digital display
Electronics | desk speaker | heldout | 20 180 | Tone Boom Sonata Amp | color: {COLOURS} | bluetooth, high resolution, long battery life, with remote, compact, water resistant, stereo pair, deep bass
Outdoors | camping tent | train | 50 380 | Bivouac Basecamp Nomad Ridge | capacity: 2_person 3_person 4_person 6_person; color: {COLOURS} | waterproof, easy setup, lightweight, four season, sun protection, with footprint, windproof, ventilated
Outdoors | sleeping bag | train | 25 220 | Drowse Tundra Basecamp Ember | size: regular long wide; color: {COLOURS} | cold weather, lightweight, compression sack, waterproof, machine washable, two way zipper, down filled, hooded
"""


@dataclass(frozen=True)
class Category:
    """One kind of product."""

    department: str
    name: str
    heldout: bool
    prices: tuple[int, int]
    lines: tuple[str, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    attributes: tuple[str, ...]


def _read(line: str) -> Category:
    department, name, split, prices, lines, options, attributes = (part.strip() for part in line.split("|"))
    low, high = map(int, prices.split())
    lists = {"{COLOURS}": COLOURS, "{SIZES}": _SIZES, "{SHOES}": _SHOES, "{PACKS}": _PACKS, "{WOODS}": _WOODS}
    chosen: list[tuple[str, tuple[str, ...]]] = []
    for part in options.split(";"):
        option, _, values = part.partition(":")
        values = lists.get(values.strip(), values)
        chosen.append((option.strip(), tuple(value.replace("_", " ") for value in values.split())))
    return Category(
        department,
        name,
        split == "heldout",
        (low, high),
        tuple(lines.split()),
        tuple(chosen),
        tuple(part.strip() for part in attributes.split(",")),
    )


CATEGORIES = tuple(_read(line) for line in _TABLE.strip().splitlines())
