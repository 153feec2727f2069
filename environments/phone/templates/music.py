"""Tasks with songs and playlists: an application that train and select never see."""

from __future__ import annotations

from agentgym.environments.phone.apps.music import SONGS
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.store import Row
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Music")
template = FAMILY.template


def _song_outside(draft: Draft, playlist: str) -> Row:
    inside = {row["song"] for row in draft.store.rows("entries", playlist=playlist)}
    return draft.random.choice([row for row in draft.store.rows("songs") if row["title"] not in inside])


@template("music_favourite", Level.EASY, heldout=True)
def _favourite(draft: Draft) -> Goal:
    row = draft.one("songs", favourite=0)
    draft.change("songs", row, favourite=1)
    return draft.goal('make the song "{title}" a favourite', title=row["title"])


@template("music_new_playlist", Level.MEDIUM, heldout=True)
def _new_playlist(draft: Draft) -> Goal:
    name = draft.fresh("playlists", "name", ["Sunday", "Party", "Rainy days", "Running", "Sleep"])
    draft.add("playlists", name=name)
    return draft.goal("create a playlist {name}", name=name)


@template("music_delete_playlist", Level.EASY, heldout=True)
def _delete_playlist(draft: Draft) -> Goal:
    row = draft.one("playlists")
    draft.remove("playlists", row)
    for entry in draft.store.rows("entries", playlist=row["name"]):
        draft.remove("entries", entry)
    return draft.goal("delete the playlist {name}", name=row["name"])


@template("music_add_song", Level.EASY, heldout=True)
def _add_song(draft: Draft) -> Goal:
    playlist = draft.one("playlists")["name"]
    song = _song_outside(draft, playlist)["title"]
    draft.add("entries", playlist=playlist, song=song)
    return draft.goal('add the song "{song}" to the playlist {name}', song=song, name=playlist)


@template("music_remove_song", Level.EASY, heldout=True)
def _remove_song(draft: Draft) -> Goal:
    row = draft.one("entries")
    draft.remove("entries", row)
    return draft.goal(
        'remove the song "{song}" from the playlist {name}', song=row["song"], name=row["playlist"]
    )


@template("music_answer_artist", Level.MEDIUM, heldout=True)
def _answer_artist(draft: Draft) -> Goal:
    row = draft.one("songs")
    draft.read(SONGS.to_see(row))
    return draft.goal('answer who sings the song "{title}"', title=row["title"], answer=row["artist"])
