"""Terminal, calculator, spreadsheet and pictures."""

from __future__ import annotations

import random
import struct
import zlib

from agentgym.environments.desktop.goals import Goal
from agentgym.environments.desktop.opening import Opening
from agentgym.environments.desktop.sheet import SUFFIX, write_sheet
from agentgym.environments.desktop.templates.draft import (
    NAMES,
    WORDS,
    Template,
    goal,
    in_terminal,
    lines,
    pressed,
    text,
    typed,
)

_TERMINAL = Opening("xterm")


def _count(rng: random.Random) -> Goal:
    name, rows = f"{rng.choice(NAMES)}.txt", lines(rng, 8, 20)
    ask = f"write the number of lines of {name} into a file count.txt"
    plan = [typed(f"wc -l < {name} > count.txt\n")]
    return goal(ask, {name: text(rows)}, {"count.txt": f"{len(rows)}\n"}, _TERMINAL, plan)


def _search(rng: random.Random) -> Goal:
    name, word = f"{rng.choice(NAMES)}.txt", rng.choice(WORDS)
    rows = [f"{rng.choice(WORDS)} {number}" for number in rng.sample(range(100, 999), 12)] + [f"{word} 7"]
    rng.shuffle(rows)
    found = [row for row in rows if word in row]
    ask = f'write the lines of {name} with the word "{word}" into a file found.txt, in their order'
    plan = [typed(f"grep {word} {name} > found.txt\n")]
    return goal(ask, {name: text(rows)}, {"found.txt": text(found)}, _TERMINAL, plan)


def _join(rng: random.Random) -> Goal:
    one, other = (f"{name}.txt" for name in rng.sample(NAMES, 2))
    files = {one: text(lines(rng)), other: text(lines(rng))}
    ask = f"write what {one} says, and below it what {other} says, into a file joined.txt"
    plan = [typed(f"cat {one} {other} > joined.txt\n")]
    return goal(ask, files, {"joined.txt": files[one] + files[other]}, _TERMINAL, plan)


def _numbers(rng: random.Random) -> Goal:
    name, numbers = f"{rng.choice(NAMES)}.txt", rng.sample(range(2, 2000), 9)
    ask = f"write the numbers of {name} into a file sorted.txt, the smallest first"
    plan = [typed(f"sort -n {name} > sorted.txt\n")]
    wanted = text([str(number) for number in sorted(numbers)])
    return goal(
        ask, {name: text([str(number) for number in numbers])}, {"sorted.txt": wanted}, _TERMINAL, plan
    )


def _calculated(ask: str, expression: str, result: int) -> Goal:
    plan = [typed(f"{expression}\n"), *in_terminal(f"echo {result} > result.txt")]
    return goal(
        f"{ask} and write the result into a file result.txt",
        {},
        {"result.txt": f"{result}\n"},
        Opening("galculator"),
        plan,
    )


def _product(rng: random.Random) -> Goal:
    one, other = rng.randint(101, 999), rng.randint(101, 999)
    return _calculated(f"multiply {one} by {other}", f"{one}*{other}", one * other)


def _bill(rng: random.Random) -> Goal:
    count, price, fee = rng.randint(12, 99), rng.randint(12, 99), rng.randint(100, 999)
    ask = f"work out what {count} chairs at {price} each and {fee} for their transport cost together"
    return _calculated(ask, f"{count}*{price}+{fee}", count * price + fee)


def _table(rng: random.Random) -> list[list[str]]:
    return [["item", "price"], *([word, str(rng.randint(2, 99))] for word in rng.sample(WORDS, 4))]


def _sheet(ask: str, name: str, rows: list[list[str]], new: list[list[str]], plan: list[str]) -> Goal:
    path = f"{name}{SUFFIX}"
    plan = [*plan, *pressed("ctrl+s")]
    return goal(ask, {path: write_sheet(rows)}, {path: write_sheet(new)}, Opening("gnumeric", (path,)), plan)


def _cell(rng: random.Random) -> Goal:
    name, rows, row = rng.choice(NAMES), _table(rng), rng.randint(1, 4)
    value = str(rng.randint(100, 999))
    new = [[cells[0], value] if number == row else cells for number, cells in enumerate(rows)]
    plan = [*pressed(*["down"] * row, "right"), typed(f"{value}\n")]
    return _sheet(
        f"set the price of {rows[row][0]} to {value} in the spreadsheet {name}{SUFFIX}", name, rows, new, plan
    )


def _row(rng: random.Random) -> Goal:
    name, rows = rng.choice(NAMES), _table(rng)
    item = rng.choice([word for word in WORDS if word not in {cells[0] for cells in rows}])
    price = str(rng.randint(100, 999))
    plan = [*pressed(*["down"] * 5), typed(f"{item}\t{price}\n")]
    ask = f"add {item} for {price} in the first free row of the spreadsheet {name}{SUFFIX}"
    return _sheet(ask, name, rows, [*rows, [item, price]], plan)


def _total(rng: random.Random) -> Goal:
    name, rows = rng.choice(NAMES), _table(rng)
    total = str(sum(int(cells[1]) for cells in rows[1:]))
    plan = [*pressed(*["down"] * 5), typed(f"total\t{total}\n")]
    ask = (
        f'write "total", and beside it the sum of all prices as a number, into the first free row of the spreadsheet '
        f"{name}{SUFFIX}"
    )
    return _sheet(ask, name, rows, [*rows, ["total", total]], plan)


def _show(rng: random.Random) -> Goal:
    names = [f"{word}.png" for word in rng.sample(WORDS, 4)]
    pictures: dict[str, str | bytes] = {f"Pictures/{name}": _picture(rng.randbytes(3)) for name in names}
    chosen = rng.choice(names)
    plan = [f'launch("gpicview", "Pictures/{chosen}")']
    ask = f"show the picture {chosen} of the folder Pictures in the image viewer"
    return goal(ask, pictures, {}, Opening("pcmanfm"), plan, title=f"{chosen} ")


def _picture(colour: bytes) -> bytes:
    """Return a PNG of 48 x 48 pixels of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 48, 48, 8, 2, 0, 0, 0)
    data = zlib.compress((b"\0" + colour * 48) * 48)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


RECKONING = (
    Template("shell_count", "medium", _count),
    Template("shell_search", "medium", _search),
    Template("shell_join", "medium", _join),
    Template("shell_numbers", "medium", _numbers, heldout=True),
    Template("calculate_product", "medium", _product),
    Template("calculate_bill", "hard", _bill, heldout=True),
    Template("sheet_cell", "medium", _cell),
    Template("sheet_row", "medium", _row),
    Template("sheet_total", "hard", _total, heldout=True),
    Template("show_picture", "easy", _show),
)
