"""Tasks with notes."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.notes import COLOURS, NOTES
from agentgym.environments.phone.expert import Route, Stage
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Notes")
template = FAMILY.template


@template("notes_add", Level.MEDIUM)
def _add(draft: Draft) -> Goal:
    title, text = draft.fresh("notes", "title", words.NOTE_TITLES), draft.choice(words.NOTE_TEXTS)
    draft.add("notes", title=title, text=text)
    return draft.goal(
        'write a note "{title}" that says "{text}"',
        'create a note called "{title}" with the text "{text}"',
        title=title,
        text=text,
    )


@template("notes_delete", Level.EASY)
def _delete(draft: Draft) -> Goal:
    row = draft.one("notes")
    draft.remove("notes", row)
    return draft.goal('delete the note "{title}"', 'throw the note "{title}" away', title=row["title"])


@template("notes_delete_two", Level.MEDIUM, heldout=True)
def _delete_two(draft: Draft) -> Goal:
    one, other = draft.some("notes", 2)
    draft.remove("notes", one)
    draft.remove("notes", other)
    return draft.goal('delete the notes "{one}" and "{other}"', one=one["title"], other=other["title"])


@template("notes_rewrite", Level.MEDIUM)
def _rewrite(draft: Draft) -> Goal:
    row, text = draft.one("notes"), draft.fresh("notes", "text", words.NOTE_TEXTS)
    draft.change("notes", row, text=text)
    return draft.goal('change the text of the note "{title}" to "{text}"', title=row["title"], text=text)


@template("notes_rename", Level.MEDIUM)
def _rename(draft: Draft) -> Goal:
    row, title = draft.one("notes"), draft.fresh("notes", "title", words.NOTE_TITLES)
    draft.change("notes", row, title=title)
    return draft.goal('rename the note "{old}" to "{new}"', old=row["title"], new=title)


@template("notes_pin", Level.EASY)
def _pin(draft: Draft) -> Goal:
    row = draft.one("notes", pinned=0)
    draft.change("notes", row, pinned=1)
    return draft.goal('pin the note "{title}"', title=row["title"])


@template("notes_unpin", Level.EASY)
def _unpin(draft: Draft) -> Goal:
    row = draft.one("notes", pinned=1)
    draft.change("notes", row, pinned=0)
    return draft.goal('unpin the note "{title}"', title=row["title"])


@template("notes_colour", Level.EASY)
def _colour(draft: Draft) -> Goal:
    row = draft.one("notes")
    colour = draft.choice(COLOURS, row["colour"])
    draft.change("notes", row, colour=colour)
    return draft.goal(
        'give the note "{title}" the colour {colour}', title=row["title"], colour=colour.lower()
    )


@template("notes_answer", Level.MEDIUM)
def _answer(draft: Draft) -> Goal:
    row = draft.one("notes")
    draft.read(NOTES.to_see(row))
    return draft.goal('answer what the note "{title}" says', title=row["title"], answer=row["text"])


@template("notes_missing", Level.MEDIUM, heldout=True)
def _missing(draft: Draft) -> Goal:
    title = draft.fresh("notes", "title", words.NOTE_TITLES)
    draft.read(Route("Notes", (Stage("main", lambda scene: None),)), to_end=True)
    return draft.goal('pin the note "{title}"', title=title, infeasible=True)
