"""`agentgym memory`: what a memory holds, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import aside, console, print_json
from agentgym.cli.options import AsJson, EnvOptions, RunsRoot, Seed, parse_options
from agentgym.cli.policies import AgentName, ApiKeyEnv, EndpointOptions, MaxTokens, Model
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.memory.store.store import MemoryStore

app = typer.Typer(
    help="Look at a memory, admit items to it, withdraw them, share them.", no_args_is_help=True
)

Library = Annotated[
    str, typer.Option("--library", "-l", help="A memory: the path of a SQLite file, or a postgresql:// URL.")
]
Item = Annotated[
    str, typer.Argument(help="An item's name, or the beginning of a version.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the item's log.")]
DEFAULT = "memory.db"


@app.command(name="list")
def list_items(
    library: Library = DEFAULT,
    kind: Annotated[str | None, typer.Option("--kind", help="case, principle, skill, tool, ...")] = None,
    status: Annotated[str | None, typer.Option("--status", help="candidate, shadow, active, ...")] = None,
    space: Annotated[str | None, typer.Option("--space", help="What an agent in this space sees.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every version; default: the latest of each item.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the items of a memory.

    Example: agentgym memory list --kind skill
    """
    from agentgym.cli.library import entries_table, entry_data, parse_kind, parse_status
    from agentgym.memory.store.entries import current, sees

    kinds = (parse_kind(kind),) if kind is not None else None
    statuses = parse_status(status)
    with _opened(library) as store:
        entries = store.entries() if kinds is None else store.entries(kinds)
    found = [entry for entry in entries if entry.status in statuses] if every else current(entries, statuses)
    seen = [entry for entry in found if space is None or sees(space, entry.space)]
    if as_json:
        print_json([entry_data(entry) for entry in seen])
        return
    console().print(entries_table(seen) if seen else "No item is like that.")


@app.command()
def show(item: Item, library: Library = DEFAULT, as_json: AsJson = False) -> None:
    """Show an item: what it says, what became of it and why, and what it comes from.

    Example: agentgym memory show find-things
    """
    from agentgym.cli.library import find_entry, item_data, item_text

    with _opened(library) as store:
        data = item_data(store, find_entry(store, item))
    if as_json:
        print_json(data)
        return
    console().print(item_text(data), soft_wrap=True)


@app.command()
def gate(
    item: Item,
    library: Library = DEFAULT,
    env: Annotated[
        str | None, typer.Option("--env", help="Where it is replayed; default: no replay.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Who replays it: a run, or the URL of an endpoint.")
    ] = None,
    model: Model = "",
    agent: AgentName = None,
    tester: Annotated[
        str | None,
        typer.Option("--tester", help="An endpoint that writes tests of a tool, blind to its code."),
    ] = None,
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="Of each group of the select split.")] = 40,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Episodes of each task.")] = 1,
    margin: Annotated[
        float,
        typer.Option("--margin", min=0.1, max=99, help="Points of success that it may cost, of no worse."),
    ] = 10.0,
    max_turns: Annotated[
        int | None, typer.Option("--max-turns", min=1, help="Of an episode. Default: the run's own, else 50.")
    ] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
    max_tokens: MaxTokens = 512,
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Admit an item, or turn it away: form, scan, tests, blind tests, mutants, replay.

    It is active only where it passes all; exits with 1 where it is turned away.

    Example: agentgym memory gate find-things
    """
    from agentgym.cli.gating import Asked, admit
    from agentgym.cli.library import find_entry
    from agentgym.evolution.gate.replay import ReplaySettings
    from agentgym.evolution.gate.tables import admission_table

    if (env is None) != (policy is None):
        raise UsageError("A replay needs both --env and --policy; leave both out to go without.")
    settings = ReplaySettings(
        tasks=tasks,
        samples=epochs,
        seed=seed,
        margin=margin / 100,
        options=parse_options(option),
    )
    options = EndpointOptions(api_key_env, max_tokens=max_tokens)
    asked = Asked(env, policy, model, agent, tester, settings, max_turns, options, runs)
    with _opened(library) as store:
        admission = admit(store, find_entry(store, item).version, asked)
    out = aside(as_json)
    if as_json:
        print_json(
            {**admission.report.to_data(), "before": admission.before.value, "after": admission.after.value}
        )
    else:
        out.print(admission_table(admission))
    if admission.report.failed is not None:
        raise typer.Exit(1)


@app.command()
def retire(item: Item, reason: Reason, library: Library = DEFAULT, as_json: AsJson = False) -> None:
    """Take an item out of use; it can come back.

    Example: agentgym memory retire find-things --reason "the kitchen was rebuilt"
    """
    from agentgym.cli.library import AUTHOR, find_entry
    from agentgym.core.memory import ItemStatus

    with _opened(library) as store:
        entry = find_entry(store, item)
        if entry.status in (ItemStatus.RETIRED, ItemStatus.QUARANTINED):
            raise UsageError(f"{entry.kind.value} {entry.name!r} is {entry.status.value} already.")
        store.set_status(entry.version, ItemStatus.RETIRED, reason=reason, author=AUTHOR)
        _tell(store, [entry.version], as_json)


@app.command()
def quarantine(item: Item, reason: Reason, library: Library = DEFAULT, as_json: AsJson = False) -> None:
    """Take an item out of use with all that was made from it.

    Example: agentgym memory quarantine find-things --reason "it tells lies"
    """
    from agentgym.cli.library import AUTHOR, find_entry
    from agentgym.memory.quarantine import quarantine as hold

    with _opened(library) as store:
        entry = find_entry(store, item)
        _tell(store, hold(store, entry.version, reason=reason, author=AUTHOR), as_json)


@app.command()
def restore(item: Item, reason: Reason, library: Library = DEFAULT, as_json: AsJson = False) -> None:
    """Make a retired or quarantined item a candidate again, to be admitted anew.

    Example: agentgym memory restore old-habits --reason "worth another try"
    """
    from agentgym.cli.library import restored

    with _opened(library) as store:
        _tell(store, restored(store, item, reason), as_json)


@app.command()
def export(
    target: Annotated[
        Path, typer.Argument(help="A new file, or a folder for the directories of skills and tools.")
    ],
    items: Annotated[
        list[str] | None, typer.Argument(help="Skills and tools; default: the whole memory.")
    ] = None,
    library: Library = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write the whole memory to a file, or some skills and tools as directories of the Agent Skills standard.

    Example: agentgym memory export shared find-things
    """
    from agentgym.cli.library import find_entry, write_items

    with _opened(library) as store:
        written = write_items(store, [find_entry(store, item) for item in items or ()], target)
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    console().print(f"Written: {', '.join(map(str, written))}.", markup=False, soft_wrap=True)


@app.command(name="import")
def import_items(
    source: Annotated[
        Path, typer.Argument(help="An export, a directory of a skill or tool, a folder of such, or a module.")
    ],
    library: Library = DEFAULT,
    space: Annotated[str, typer.Option("--space", help="Where skills and tools come to lie.")] = "",
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Take over the status and evidence of an export, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring items into a memory, which is made if need be. They arrive as candidates.

    Example: agentgym memory import skills
    """
    from agentgym.cli.library import read_items_from
    from agentgym.memory.store.store import MemoryStore

    if not source.exists():
        raise UsageError(f"There is nothing at {source}; check the path.")
    with MemoryStore(library) as store:
        notes = read_items_from(store, source, space=space, trusted=trusted)
    if as_json:
        print_json({"library": library, "imported": notes})
        return
    console().print("\n".join(["Imported:", *notes]), markup=False, soft_wrap=True)


def _opened(library: str) -> MemoryStore:
    from agentgym.memory.store.store import MemoryStore

    return MemoryStore(library, create=False)


def _tell(store: MemoryStore, versions: list[str], as_json: bool) -> None:
    """Tell where versions stand now."""
    from agentgym.cli.library import entries_table, entry_data

    changed = [entry for entry in store.entries() if entry.version in versions]
    if as_json:
        print_json([entry_data(entry) for entry in changed])
        return
    console().print(entries_table(changed) if changed else "Nothing has changed.")
