"""Files and folders, put in order in the file manager or the terminal."""

from __future__ import annotations

import random

from agentgym.environments.desktop.goals import Goal
from agentgym.environments.desktop.opening import Opening
from agentgym.environments.desktop.templates.draft import (
    FOLDERS,
    NAMES,
    Template,
    goal,
    in_terminal,
    lines,
    pressed,
    text,
    typed,
)

_MANAGER = Opening("pcmanfm")


def _files(rng: random.Random, count: int = 3) -> dict[str, str]:
    return {f"{name}.txt": text(lines(rng)) for name in rng.sample(NAMES, count)}


def _rename(rng: random.Random) -> Goal:
    files = _files(rng)
    old = rng.choice(sorted(files))
    new = f"{rng.choice([name for name in NAMES if f'{name}.txt' not in files])}-{rng.randint(10, 99)}.txt"
    plan = [typed(old), *pressed("esc", "f2", "ctrl+a"), typed(f"{new}\n")]
    return goal(f"rename the file {old} to {new}", files, {old: None, new: files[old]}, _MANAGER, plan)


def _delete(rng: random.Random) -> Goal:
    files = _files(rng)
    gone = rng.choice(sorted(files))
    plan = [typed(gone), *pressed("esc", "delete", "enter")]
    return goal(f"delete the file {gone}", files, {gone: None}, _MANAGER, plan)


def _new_folder(rng: random.Random) -> Goal:
    name = f"{rng.choice(FOLDERS)}{rng.randint(10, 99)}"
    plan = [*pressed("ctrl+shift+n"), *pressed("ctrl+a"), typed(f"{name}\n")]
    ask = f"make a folder {name} in the home folder"
    return goal(ask, _files(rng), {f"{name}/": ""}, _MANAGER, plan)


def _move(rng: random.Random) -> Goal:
    files, folder = _files(rng), rng.choice(FOLDERS)
    file = rng.choice(sorted(files))
    changes = {file: None, f"{folder}/{file}": files[file]}
    plan = in_terminal(f"mv {file} {folder}/")
    return goal(
        f"move the file {file} into the folder {folder}", {**files, f"{folder}/": ""}, changes, _MANAGER, plan
    )


def _copy(rng: random.Random) -> Goal:
    files, folder = _files(rng), rng.choice(FOLDERS)
    file = rng.choice(sorted(files))
    changes = {f"{folder}/{file}": files[file]}
    plan = in_terminal(f"cp {file} {folder}/")
    ask = f"put a copy of the file {file} into the folder {folder}"
    return goal(ask, {**files, f"{folder}/": ""}, changes, _MANAGER, plan)


def _gather(rng: random.Random) -> Goal:
    folder = rng.choice(FOLDERS)
    logs = {f"{name}.log": text(lines(rng)) for name in rng.sample(NAMES, 3)}
    changes = {**dict.fromkeys(logs), **{f"{folder}/{name}": content for name, content in logs.items()}}
    plan = in_terminal(f"mv *.log {folder}/")
    ask = f"move all files that end with .log into the folder {folder}"
    return goal(ask, {**logs, f"{folder}/": ""}, changes, _MANAGER, plan)


def _swap(rng: random.Random) -> Goal:
    files = _files(rng)
    one, other = rng.sample(sorted(files), 2)
    plan = in_terminal(f"mv {one} x; mv {other} {one}; mv x {other}")
    ask = f"exchange the names of the files {one} and {other}"
    return goal(ask, files, {one: files[other], other: files[one]}, _MANAGER, plan)


def _delete_empty(rng: random.Random) -> Goal:
    names = rng.sample(NAMES, 5)
    empty = {f"{name}.txt": "" for name in names[:2]}
    full = {f"{name}.txt": text(lines(rng)) for name in names[2:]}
    plan = in_terminal("find . -maxdepth 1 -name '*.txt' -empty -delete")
    ask = "delete the text files of the home folder in which there is nothing"
    return goal(ask, {**empty, **full}, dict.fromkeys(empty), _MANAGER, plan)


FILING = (
    Template("files_rename", "easy", _rename),
    Template("files_delete", "easy", _delete),
    Template("files_new_folder", "easy", _new_folder),
    Template("files_move", "medium", _move),
    Template("files_copy", "medium", _copy),
    Template("files_gather", "medium", _gather),
    Template("files_swap", "hard", _swap, heldout=True),
    Template("files_delete_empty", "hard", _delete_empty, heldout=True),
)
