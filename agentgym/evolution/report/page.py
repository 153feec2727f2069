"""The page itself: self-contained HTML, without script, fonts or pictures from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from agentgym.core.memory import MemoryItem
from agentgym.evaluation.compare import Comparison
from agentgym.evolution.figures import BatchFigures, ItemFigures
from agentgym.evolution.report import charts
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.store.store import MemoryStore

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #7b8594; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; vertical-align: top;
  border-bottom: 1px solid var(--line); } th { color: var(--dim); font-weight: normal; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.dim { color: var(--dim); } .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
pre { white-space: pre-wrap; margin: .3rem 0; font-size: 13px; } figure { margin: 0; } figcaption { color: var(--dim); }
"""
_NOTES = {
    "growth": "The library after each batch: the current version of every item.",
    "success": "Of the batch's episodes, with a 95 % interval clustered by task. In each some of the items are withheld.",
    "convergence": "EGL (Yunjue): versions proposed for each time that one came into an episode. It falls with every use, "
    "so beside it: the last batches alone, the share of all proposals that is active, and the posterior probability that "
    "the library brings more reward than a batch ago (0: it did not change).",
    "lifts": "How much more reward where an item is shown than where it is withheld: by the exposure lottery, or by the "
    "gate's replay where that is the larger sample; shrunk towards 0, with 90 % intervals.",
}


def render(
    settings: EvolveSettings,
    batches: Sequence[BatchFigures],
    library: MemoryStore,
    comparison: Comparison | None = None,
) -> str:
    """Return the page about an evolution as far as it has come; raises `ConfigError` without matplotlib."""
    items = batches[-1]["items"] if batches else []
    drawn = {
        "growth": charts.growth(batches),
        "success": charts.success(batches),
        "convergence": charts.convergence(batches),
        "lifts": charts.lifts(items),
    }
    title = f"Evolution in {settings.env_id}"
    figures = "".join(
        f'<figure id="{name}"><h2>{name.capitalize()}</h2>{svg}<figcaption>{_NOTES[name]}</figcaption></figure>'
        for name, svg in drawn.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="dim">{escape(_asked(settings))}</p>{_worth(comparison)}<div class="grid">{figures}</div>'
        f"<h2>Items</h2>{_items(items, library)}</body></html>\n"
    )


def _asked(settings: EvolveSettings) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in settings.options.items())
    return (
        f"{settings.model} acts, {settings.evolver} writes; {settings.batches} batches of {settings.tasks} tasks, "
        f"{settings.rollouts} episodes each, at most {settings.max_turns} turns; seed {settings.seed}. "
        f"Environment options: {options or 'none'}."
    )


def _worth(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    found = comparison.difference
    rows = [("all", found), *comparison.groups.items()]
    told = _table(
        ("held-out tasks", "tasks", "difference in points", "95 %"),
        (
            (
                name,
                str(each.tasks),
                f"{100 * each.estimate:+.1f}",
                f"{100 * each.low:+.1f} to {100 * each.high:+.1f}",
            )
            for name, each in rows
        ),
    )
    before, after = comparison.before_rate.estimate, comparison.after_rate.estimate
    return (
        f"<h2>What the library is worth</h2><p>Without it {100 * before:.1f} % of held-out tasks are solved, with it "
        f"{100 * after:.1f} %, on the same tasks and seeds: {escape(comparison.verdict.value)}.</p>{told}"
    )


def _items(items: Sequence[ItemFigures], library: MemoryStore) -> str:
    known = library.get_all([each["version"] for each in items])
    order = {"active": 0, "shadow": 1, "candidate": 2}
    rows: list[str] = []
    for each in sorted(items, key=lambda each: (order.get(each["status"], 3), each["name"])):
        why = library.status_log(each["version"])[-1].reason
        lift = "" if each["lift"] is None else f"{each['lift']:+.3f}"
        rows.append(
            f"<tr><td><details><summary>{escape(each['name'])}</summary>{_content(known[each['version']])}</details></td>"
            f"<td>{escape(each['kind'])}</td><td>{escape(each['status'])}<br><span class=dim>{escape(why)}</span></td>"
            f'<td class="n">{lift}</td><td class="n">{each["exposures"]}</td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in ("item", "kind", "status", "lift", "exposures"))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _content(item: MemoryItem) -> str:
    files = "".join(
        f"<p class=dim>{escape(path)}</p><pre>{escape(data.decode('utf-8', 'replace')[:4000])}</pre>"
        for path, data in sorted(item.files.items())
    )
    return f"<pre>{escape(item.key_text)}\n\n{escape(item.body)}</pre>{files}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{lines}</table>"
