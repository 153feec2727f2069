"""Files: folders with files that are starred, renamed, moved, copied and deleted."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context
from agentgym.environments.phone.apps.collection import dialog
from agentgym.environments.phone.expert import Move, Route, Stage, fill, hold, tap
from agentgym.environments.phone.store import Store, Table
from agentgym.environments.phone.ui.widgets import Button, Icon, Item, Screen, Switch, Text, Widget

TABLES = (
    Table("folders", {"name": ""}),
    Table("files", {"name": "", "folder": "", "size": 0, "starred": 0}),
)


def _main(ui: Context) -> Screen:
    rows: list[Widget] = []
    for folder in ui.db.rows("folders", "name"):
        count = len(ui.db.rows("files", folder=folder["name"]))
        rows.append(Item(folder["name"], f"{count} files", ui.opens("folder", id=folder["id"])))
    return Screen("Files", rows, [Icon("New", ui.opens("new"))])


def _folder(ui: Context) -> Screen:
    folder = ui.row("folders")
    rows: list[Widget] = []
    for row in ui.db.rows("files", "name", folder=folder["name"]):
        rows.append(Item(row["name"], "", ui.opens("file", id=row["id"]), ui.opens("menu", id=row["id"])))
    remove = [] if rows else [Icon("Delete", partial(_remove_folder, ui))]
    return Screen(folder["name"], rows or [Text("Nothing here")], remove)


def _remove_folder(ui: Context) -> None:
    ui.db.delete("folders", ui.row("folders")["id"])
    ui.phone.pop()


def _file(ui: Context) -> Screen:
    row = ui.row("files")
    star = ui.sets("files", row["id"], starred=1 - row["starred"])
    rows = [
        Text(f"Size: {row['size']} kB"),
        Text(f"Folder: {row['folder']}"),
        Switch("Starred", bool(row["starred"]), star),
    ]
    return Screen(row["name"], rows)


def _menu(ui: Context) -> Screen:
    row_id = ui.row("files")["id"]
    buttons = [
        Button(label, ui.opens(screen, id=row_id))
        for label, screen in (("Rename", "rename"), ("Move", "move"), ("Copy", "copy"), ("Delete", "delete"))
    ]
    return dialog(ui.row("files")["name"], *buttons)


def _rename(ui: Context) -> Screen:
    row = ui.row("files")

    def save() -> None:
        name = ui.typed("Name")
        if not name:
            return ui.phone.say("Name is missing")
        if any(row["id"] != other["id"] for other in ui.db.rows("files", name=name, folder=row["folder"])):
            return ui.phone.say(f"There is a file called {name} already")
        ui.db.update("files", row["id"], name=name)
        return ui.phone.pop(2)

    rows = [ui.field("Name", row["name"]), Button("Save", save)]
    return Screen("Rename", rows, dialog=True, typing=True)


def _to_folder(ui: Context, copy: bool) -> Screen:
    row = ui.row("files")

    def to(folder: str) -> None:
        if ui.db.rows("files", name=row["name"], folder=folder):
            return ui.phone.say(f"{row['name']} is in {folder} already")
        if copy:
            ui.db.insert("files", name=row["name"], folder=folder, size=row["size"])
        else:
            ui.db.update("files", row["id"], folder=folder)
        ui.phone.pop(2)
        return ui.phone.say("Copied" if copy else "Moved")

    rows = [
        Item(folder["name"], on_tap=partial(to, folder["name"])) for folder in ui.db.rows("folders", "name")
    ]
    return Screen(f"{'Copy' if copy else 'Move'} to", rows, dialog=True)


def _delete(ui: Context) -> Screen:
    row = ui.row("files")

    def delete() -> None:
        ui.db.delete("files", row["id"])
        ui.phone.pop(2)
        ui.phone.say("Deleted")

    return dialog(f"Delete {row['name']}?", Button("Delete", delete), Button("Cancel", ui.closes(2)))


def _new(ui: Context) -> Screen:
    def save() -> None:
        name = ui.typed("Name")
        if not name or ui.db.rows("folders", name=name):
            return ui.phone.say("A new folder needs a new name")
        ui.db.insert("folders", name=name)
        return ui.phone.pop()

    rows = [ui.field("Name"), Button("Save", save)]
    return Screen("New folder", rows, dialog=True, typing=True)


def _populate(store: Store, random: Random) -> None:
    for folder in words.FOLDERS:
        store.insert("folders", name=folder)
    names: dict[str, None] = {}
    while len(names) < 12:
        names.setdefault(words.file_name(random))
    for number, name in enumerate(names):
        folder = words.FOLDERS[number % 4] if number < 8 else random.choice(words.FOLDERS)
        store.insert("files", name=name, folder=folder, size=random.randrange(10, 990))


def to_file(store: Store, row_id: int) -> Route:
    """Return the way to where a file is shown."""
    row = store.rows("files", id=row_id)[0]
    folder = store.rows("folders", name=row["folder"])[0]
    stages = (
        Stage("main", tap(folder["name"])),
        Stage("folder", tap(row["name"]), {"id": folder["id"]}),
        Stage("file", lambda scene: None, {"id": row_id}),
    )
    return Route("Files", stages)


def _routes(store: Store, change: Change) -> Route | None:
    if change.table == "folders":
        return _folder_route(change)
    if change.before is not None:
        return _file_route(store, change)
    wanted = change.after or {}
    for row in store.rows("files", name=str(wanted["name"]), size=wanted["size"]):
        args = {"id": row["id"]}
        stages = (Stage("menu", tap("Copy"), args), Stage("copy", tap(str(wanted["folder"])), args))
        return _below_folder(store, str(row["folder"]), hold(row["name"]), *stages)
    return None


def _file_route(store: Store, change: Change) -> Route | None:
    before, args = change.before or {}, {"id": change.row_id}
    name, folder = str(before["name"]), str(before["folder"])
    if change.after is None:
        stages = (Stage("menu", tap("Delete"), args), Stage("delete", tap("Delete"), args))
    elif "starred" in change.changed:
        return _below_folder(store, folder, tap(name), Stage("file", tap("Starred"), args))
    elif "folder" in change.changed:
        to = tap(str(change.changed["folder"]))
        stages = (Stage("menu", tap("Move"), args), Stage("move", to, args))
    elif "name" in change.changed:
        typed = fill({"Name": str(change.changed["name"])}, tap("Save"))
        stages = (Stage("menu", tap("Rename"), args), Stage("rename", typed, args))
    else:
        return None
    return _below_folder(store, folder, hold(name), *stages)


def _below_folder(store: Store, folder: str, move: Move, *stages: Stage) -> Route | None:
    rows = store.rows("folders", name=folder)
    if not rows:
        return None
    there = Stage("folder", move, {"id": rows[0]["id"]})
    return Route("Files", (Stage("main", tap(folder)), there, *stages))


def _folder_route(change: Change) -> Route | None:
    if change.before is None and change.after is not None:
        typed = fill({"Name": str(change.after["name"])}, tap("Save"))
        return Route("Files", (Stage("main", tap("New")), Stage("new", typed)))
    if change.before is None:
        return None
    there = Stage("folder", tap("Delete"), {"id": change.row_id})
    return Route("Files", (Stage("main", tap(str(change.before["name"]))), there))


APP = App(
    "Files",
    "#8a6d3b",
    {
        "main": _main,
        "folder": _folder,
        "file": _file,
        "menu": _menu,
        "rename": _rename,
        "move": partial(_to_folder, copy=False),
        "copy": partial(_to_folder, copy=True),
        "delete": _delete,
        "new": _new,
    },
    TABLES,
    _populate,
    _routes,
)
