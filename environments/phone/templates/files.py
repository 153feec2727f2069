"""Tasks with files and folders."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.files import to_file
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Files")
template = FAMILY.template


@template("files_delete", Level.EASY)
def _delete(draft: Draft) -> Goal:
    row = draft.one("files")
    draft.remove("files", row)
    return draft.goal("delete the file {name} in the folder {folder}", name=row["name"], folder=row["folder"])


@template("files_rename", Level.MEDIUM)
def _rename(draft: Draft) -> Goal:
    row, name = draft.one("files"), draft.fresh("files", "name", words.file_name)
    draft.change("files", row, name=name)
    return draft.goal(
        "rename the file {old} in the folder {folder} to {new}",
        old=row["name"],
        folder=row["folder"],
        new=name,
    )


@template("files_move", Level.EASY)
def _move(draft: Draft) -> Goal:
    row = draft.one("files")
    folder = draft.choice(words.FOLDERS, row["folder"])
    draft.change("files", row, folder=folder)
    return draft.goal(
        "move the file {name} from the folder {old} to {new}",
        name=row["name"],
        old=row["folder"],
        new=folder,
    )


@template("files_copy", Level.EASY)
def _copy(draft: Draft) -> Goal:
    row = draft.one("files")
    folder = draft.choice(words.FOLDERS, row["folder"])
    draft.add("files", name=row["name"], folder=folder, size=row["size"])
    return draft.goal(
        "copy the file {name} from the folder {old} to {new}",
        name=row["name"],
        old=row["folder"],
        new=folder,
    )


@template("files_star", Level.EASY)
def _star(draft: Draft) -> Goal:
    row = draft.one("files")
    draft.change("files", row, starred=1)
    return draft.goal("star the file {name} in the folder {folder}", name=row["name"], folder=row["folder"])


@template("files_new_folder", Level.MEDIUM)
def _new_folder(draft: Draft) -> Goal:
    name = draft.fresh("folders", "name", words.NEW_FOLDERS)
    draft.add("folders", name=name)
    return draft.goal("create a folder {name}", "make a new folder called {name}", name=name)


@template("files_empty_folder", Level.MEDIUM, heldout=True)
def _empty_folder(draft: Draft) -> Goal:
    folder = draft.choice(words.FOLDERS)
    for row in draft.store.rows("files", folder=folder):
        draft.remove("files", row)
    return draft.goal("delete all files in the folder {folder}", folder=folder)


@template("files_move_to_new_folder", Level.MEDIUM, heldout=True)
def _move_to_new(draft: Draft) -> Goal:
    row, name = draft.one("files"), draft.fresh("folders", "name", words.NEW_FOLDERS)
    draft.add("folders", name=name)
    draft.change("files", row, folder=name)
    return draft.goal(
        "create a folder {new} and move the file {name} from {old} there",
        name=row["name"],
        old=row["folder"],
        new=name,
    )


@template("files_answer_size", Level.MEDIUM)
def _answer_size(draft: Draft) -> Goal:
    row = draft.one("files")
    draft.read(to_file(draft.store, row["id"]))
    return draft.goal(
        "answer how many kB the file {name} in the folder {folder} has",
        name=row["name"],
        folder=row["folder"],
        answer=str(row["size"]),
    )
