"""Tasks with events."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.calendar import EVENTS, REMINDERS
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Calendar")
template = FAMILY.template


@template("calendar_add", Level.MEDIUM)
def _add(draft: Draft) -> Goal:
    title = draft.fresh("events", "title", words.EVENTS)
    date, time = words.date(draft.random), words.time(draft.random)
    draft.add("events", title=title, date=date, time=time)
    return draft.goal(
        'add the event "{title}" on {date} at {time}',
        'create an event "{title}" for {time} on {date}',
        title=title,
        date=date,
        time=time,
    )


@template("calendar_add_with_place", Level.MEDIUM)
def _add_with_place(draft: Draft) -> Goal:
    title, place = draft.fresh("events", "title", words.EVENTS), draft.choice(words.PLACES)
    date, time = words.date(draft.random), words.time(draft.random)
    draft.add("events", title=title, date=date, time=time, place=place)
    return draft.goal(
        'add the event "{title}" on {date} at {time} in the place {place}',
        title=title,
        date=date,
        time=time,
        place=place,
    )


@template("calendar_delete", Level.EASY)
def _delete(draft: Draft) -> Goal:
    row = draft.one("events")
    draft.remove("events", row)
    return draft.goal('delete the event "{title}"', 'cancel "{title}" in the calendar', title=row["title"])


@template("calendar_move_day", Level.MEDIUM)
def _move_day(draft: Draft) -> Goal:
    row, date = draft.one("events"), draft.fresh("events", "date", words.date)
    draft.change("events", row, date=date)
    return draft.goal('move the event "{title}" to {date}', title=row["title"], date=date)


@template("calendar_move_time", Level.MEDIUM)
def _move_time(draft: Draft) -> Goal:
    row, time = draft.one("events"), draft.fresh("events", "time", words.time)
    draft.change("events", row, time=time)
    return draft.goal('let the event "{title}" begin at {time}', title=row["title"], time=time)


@template("calendar_place", Level.MEDIUM)
def _place(draft: Draft) -> Goal:
    row = draft.one("events", place="")
    place = draft.choice(words.PLACES)
    draft.change("events", row, place=place)
    return draft.goal('add the place {place} to the event "{title}"', title=row["title"], place=place)


@template("calendar_rename", Level.MEDIUM, heldout=True)
def _rename(draft: Draft) -> Goal:
    row, title = draft.one("events"), draft.fresh("events", "title", words.EVENTS)
    draft.change("events", row, title=title)
    return draft.goal('rename the event "{old}" to "{new}"', old=row["title"], new=title)


@template("calendar_reminder", Level.EASY)
def _reminder(draft: Draft) -> Goal:
    row = draft.one("events")
    reminder = draft.choice(REMINDERS[1:], row["reminder"])
    draft.change("events", row, reminder=reminder)
    return draft.goal(
        'set the reminder of the event "{title}" to {reminder}', title=row["title"], reminder=reminder
    )


@template("calendar_answer_place", Level.MEDIUM)
def _answer_place(draft: Draft) -> Goal:
    row = draft.one("events", place=draft.choice(words.PLACES))
    draft.read(EVENTS.to_see(row))
    return draft.goal('answer where the event "{title}" takes place', title=row["title"], answer=row["place"])
