"""Tasks with alarms, timers and cities."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.clock import ALARMS
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Clock")
template = FAMILY.template


@template("clock_add_alarm", Level.MEDIUM)
def _add_alarm(draft: Draft) -> Goal:
    time = draft.fresh("alarms", "time", words.time)
    draft.add("alarms", time=time)
    return draft.goal("set an alarm for {time}", "add an alarm at {time}", time=time)


@template("clock_add_labelled_alarm", Level.MEDIUM)
def _add_labelled(draft: Draft) -> Goal:
    time, label = draft.fresh("alarms", "time", words.time), draft.choice(words.ERRANDS)
    draft.add("alarms", time=time, label=label)
    return draft.goal('set an alarm for {time} with the label "{label}"', time=time, label=label)


@template("clock_delete_alarm", Level.EASY)
def _delete_alarm(draft: Draft) -> Goal:
    row = draft.one("alarms")
    draft.remove("alarms", row)
    return draft.goal("delete the alarm at {time}", "remove the {time} alarm", time=row["time"])


@template("clock_alarm_on", Level.EASY)
def _alarm_on(draft: Draft) -> Goal:
    row = draft.one("alarms", enabled=0)
    draft.change("alarms", row, enabled=1)
    return draft.goal("turn on the alarm at {time}", time=row["time"])


@template("clock_alarm_off", Level.EASY)
def _alarm_off(draft: Draft) -> Goal:
    row = draft.one("alarms", enabled=1)
    draft.change("alarms", row, enabled=0)
    return draft.goal("turn off the alarm at {time}", time=row["time"])


@template("clock_all_alarms_off", Level.MEDIUM)
def _all_off(draft: Draft) -> Goal:
    for row in draft.store.rows("alarms"):
        draft.change("alarms", draft.arrange("alarms", row, enabled=1), enabled=0)
    return draft.goal("turn off all alarms")


@template("clock_move_alarm", Level.MEDIUM)
def _move_alarm(draft: Draft) -> Goal:
    row, time = draft.one("alarms"), draft.fresh("alarms", "time", words.time)
    draft.change("alarms", row, time=time)
    return draft.goal("move the alarm at {old} to {new}", old=row["time"], new=time)


@template("clock_answer_label", Level.MEDIUM, heldout=True)
def _answer_label(draft: Draft) -> Goal:
    row = draft.one("alarms", label=draft.choice(words.ERRANDS))
    draft.read(ALARMS.to_see(row))
    return draft.goal(
        "answer what the label of the alarm at {time} is", time=row["time"], answer=row["label"]
    )


@template("clock_add_timer", Level.MEDIUM)
def _add_timer(draft: Draft) -> Goal:
    name = draft.fresh("timers", "name", ["Eggs", "Rice", "Bread", "Call", "Nap", "Stretching"])
    minutes = str(draft.random.randint(2, 90))
    draft.add("timers", name=name, minutes=minutes)
    return draft.goal("create a timer {name} of {minutes} minutes", name=name, minutes=minutes)


@template("clock_start_timer", Level.EASY)
def _start_timer(draft: Draft) -> Goal:
    row = draft.one("timers")
    draft.change("timers", row, running=1)
    return draft.goal("start the timer {name}", "let the timer {name} run", name=row["name"])


@template("clock_delete_timer", Level.EASY, heldout=True)
def _delete_timer(draft: Draft) -> Goal:
    row = draft.one("timers")
    draft.remove("timers", row)
    return draft.goal("delete the timer {name}", name=row["name"])


@template("clock_add_city", Level.MEDIUM)
def _add_city(draft: Draft) -> Goal:
    name = draft.fresh("cities", "name", words.CITIES)
    draft.add("cities", name=name)
    return draft.goal(
        "add {name} to the world clock", "show the time in {name} on the world clock", name=name
    )


@template("clock_delete_city", Level.EASY)
def _delete_city(draft: Draft) -> Goal:
    row = draft.one("cities")
    draft.remove("cities", row)
    return draft.goal("remove {name} from the world clock", name=row["name"])
