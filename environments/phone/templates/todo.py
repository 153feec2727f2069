"""Tasks about tasks: what is to be done."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.todo import LISTS, PRIORITIES, TODOS
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Tasks")
template = FAMILY.template


@template("todo_add", Level.MEDIUM)
def _add(draft: Draft) -> Goal:
    title = draft.fresh("todos", "title", words.ERRANDS)
    draft.add("todos", title=title)
    return draft.goal('add "{title}" to the tasks', 'create a task "{title}"', title=title)


@template("todo_add_due", Level.MEDIUM)
def _add_due(draft: Draft) -> Goal:
    title, due = draft.fresh("todos", "title", words.ERRANDS), words.date(draft.random)
    draft.add("todos", title=title, due=due)
    return draft.goal('create a task "{title}" due on {due}', title=title, due=due)


@template("todo_complete", Level.EASY)
def _complete(draft: Draft) -> Goal:
    row = draft.one("todos", done=0)
    draft.change("todos", row, done=1)
    return draft.goal('mark the task "{title}" as done', 'tick off the task "{title}"', title=row["title"])


@template("todo_complete_two", Level.MEDIUM)
def _complete_two(draft: Draft) -> Goal:
    rows = [draft.arrange("todos", row, done=0) for row in draft.some("todos", 2)]
    for row in rows:
        draft.change("todos", row, done=1)
    return draft.goal(
        'mark the tasks "{one}" and "{other}" as done', one=rows[0]["title"], other=rows[1]["title"]
    )


@template("todo_reopen", Level.EASY, heldout=True)
def _reopen(draft: Draft) -> Goal:
    row = draft.one("todos", done=1)
    draft.change("todos", row, done=0)
    return draft.goal('mark the task "{title}" as not done', title=row["title"])


@template("todo_delete", Level.EASY)
def _delete(draft: Draft) -> Goal:
    row = draft.one("todos")
    draft.remove("todos", row)
    return draft.goal('delete the task "{title}"', title=row["title"])


@template("todo_due", Level.MEDIUM)
def _due(draft: Draft) -> Goal:
    row, due = draft.one("todos"), draft.fresh("todos", "due", words.date)
    draft.change("todos", row, due=due)
    return draft.goal('let the task "{title}" be due on {due}', title=row["title"], due=due)


@template("todo_priority", Level.EASY)
def _priority(draft: Draft) -> Goal:
    row = draft.one("todos")
    priority = draft.choice(PRIORITIES, row["priority"])
    draft.change("todos", row, priority=priority)
    return draft.goal(
        'give the task "{title}" {priority} priority', title=row["title"], priority=priority.lower()
    )


@template("todo_list", Level.EASY)
def _list(draft: Draft) -> Goal:
    row = draft.one("todos")
    name = draft.choice(LISTS, row["list"])
    draft.change("todos", row, list=name)
    return draft.goal('move the task "{title}" to the list {name}', title=row["title"], name=name)


@template("todo_rename", Level.MEDIUM)
def _rename(draft: Draft) -> Goal:
    row, title = draft.one("todos"), draft.fresh("todos", "title", words.ERRANDS)
    draft.change("todos", row, title=title)
    return draft.goal('rename the task "{old}" to "{new}"', old=row["title"], new=title)


@template("todo_answer_due", Level.MEDIUM)
def _answer_due(draft: Draft) -> Goal:
    row = draft.one("todos", due=words.date(draft.random))
    draft.read(TODOS.to_see(row))
    return draft.goal('answer when the task "{title}" is due', title=row["title"], answer=row["due"])
