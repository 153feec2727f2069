"""Music: songs, and playlists made of them."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context
from agentgym.environments.phone.apps.collection import Collection, FormField, Toggle, dialog
from agentgym.environments.phone.expert import Route, Stage, tap
from agentgym.environments.phone.store import Row, Store, Table
from agentgym.environments.phone.ui.widgets import Button, Heading, Item, Screen, Widget

TABLES = (
    Table("songs", {"title": "", "artist": "", "favourite": 0}),
    Table("playlists", {"name": ""}),
    Table("entries", {"playlist": "", "song": ""}),
)


def _song_extra(ui: Context, row: Row) -> list[Widget]:
    return [Button("Add to playlist", ui.opens("pick", id=row["id"]))]


def _playlist_extra(ui: Context, row: Row) -> list[Widget]:
    rows: list[Widget] = [Heading("Songs")]
    for entry in ui.db.rows("entries", playlist=row["name"]):
        rows.append(Item(entry["song"], on_tap=ui.opens("entry", id=entry["id"])))
    return rows


SONGS = Collection(
    app="Music",
    table="songs",
    noun="song",
    fields=(FormField("Title", "title"), FormField("Artist", "artist")),
    toggles=(Toggle("Favourite", "favourite"),),
    title="Songs",
    detail=lambda row: row["artist"],
    order="title",
    list_screen="songs",
    creatable=False,
    deletable=False,
    path=(Stage("main", tap("Songs")),),
    extra=_song_extra,
)
PLAYLISTS = Collection(
    app="Music",
    table="playlists",
    noun="playlist",
    fields=(FormField("Name", "name", required=True),),
    title="Playlists",
    order="name",
    list_screen="playlists",
    path=(Stage("main", tap("Playlists")),),
    references=(("entries", "playlist"),),
    extra=_playlist_extra,
)


def _main(ui: Context) -> Screen:
    rows = [Item("Songs", on_tap=ui.opens("songs")), Item("Playlists", on_tap=ui.opens("playlists"))]
    return Screen("Music", rows)


def _pick(ui: Context) -> Screen:
    song = ui.row("songs")

    def add(playlist: Row) -> None:
        ui.db.insert("entries", playlist=playlist["name"], song=song["title"])
        ui.phone.pop()
        ui.phone.say(f"Added to {playlist['name']}")

    rows = [
        Item(playlist["name"], on_tap=partial(add, playlist)) for playlist in ui.db.rows("playlists", "name")
    ]
    return Screen("Add to playlist", rows, dialog=True)


def _entry(ui: Context) -> Screen:
    entry = ui.row("entries")

    def remove() -> None:
        ui.db.delete("entries", entry["id"])
        ui.phone.pop()

    return dialog(entry["song"], Button("Remove from playlist", remove), Button("Cancel", ui.closes()))


def _populate(store: Store, random: Random) -> None:
    titles = {words.song(random): None for _ in range(9)}
    for title in titles:
        store.insert("songs", title=title, artist=words.person(random), favourite=int(random.random() < 0.3))
    names = random.sample(["Morning", "Workout", "Dinner", "Focus", "Road trip"], 3)
    for name in names:
        store.insert("playlists", name=name)
        for title in random.sample(list(titles), 2):
            store.insert("entries", playlist=name, song=title)


def _routes(store: Store, change: Change) -> Route | None:
    if change.table != "entries":
        return SONGS.routes(store, change) or PLAYLISTS.routes(store, change)
    if change.before is not None:  # a wrong entry goes first; the right one is added after
        playlist, song = str(change.before["playlist"]), str(change.before["song"])
        lists = store.rows("playlists", name=playlist)
        if not lists:
            return None
        stages = [
            Stage("playlists", tap(playlist)),
            Stage("playlist", tap(song), {"id": lists[0]["id"]}),
            Stage("entry", tap("Remove from playlist"), {"id": change.row_id}),
        ]
        return Route("Music", (*PLAYLISTS.path, *stages))
    playlist, song = str((change.after or {})["playlist"]), str((change.after or {})["song"])
    row = store.rows("songs", title=song)[0]
    stages = [
        Stage("songs", tap(song)),
        Stage("song", tap("Add to playlist"), {"id": row["id"]}),
        Stage("pick", tap(playlist), {"id": row["id"]}),
    ]
    return Route("Music", (*SONGS.path, *stages))


APP = App(
    "Music",
    "#b0338f",
    {"main": _main, **SONGS.screens(), **PLAYLISTS.screens(), "pick": _pick, "entry": _entry},
    TABLES,
    _populate,
    _routes,
)
