"""`agentgym recipes`: what can be trained, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentgym.cli.console import console, print_json, working
from agentgym.cli.options import AsJson

if TYPE_CHECKING:
    from agentgym.training.describe import PartInfo, Setting
    from agentgym.training.recipe import Recipe

app = typer.Typer(invoke_without_command=True)


@app.callback()
def recipes(
    context: typer.Context,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/algorithms.md, with what each is made of.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the recipes: what each is, its paper, and where it departs from the authors' released code.

    Example: agentgym recipes
    """
    if context.invoked_subcommand is not None:
        return
    with working("Reading the recipes"):
        from agentgym.training.describe import recipes_as_markdown
        from agentgym.training.recipe import load_recipe
        from agentgym.training.recipe_tables import shipped_recipes

        page = recipes_as_markdown() if markdown else ""
        found = {name: load_recipe(name) for name in shipped_recipes()}
    if markdown:
        typer.echo(page, nl=False)
        return
    if as_json:
        told = {"summary", "paper", "provenance", "departures"}
        print_json([{"name": name, **recipe.model_dump(include=told)} for name, recipe in found.items()])
        return
    table = Table(box=None)
    table.add_column("recipe", no_wrap=True)
    table.add_column("what it is")
    for name, recipe in found.items():
        table.add_row(name, _told(recipe))
    console().print(table)


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key or swap a part; may be repeated."),
    ] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="With the settings of the authors' released code.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a whole recipe as TOML, which `agentgym train FILE` accepts.

    Example: agentgym recipes show gigpo --set advantage.gamma=1.0
    """
    from agentgym.training.recipe import load_recipe

    published = ["as_published=true"] if as_published else []
    with working("Reading the recipe"):
        found = load_recipe(recipe, [*published, *(settings or [])])
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        typer.echo(found.to_toml(), nl=False)


@app.command()
def parts(
    kind: Annotated[str | None, typer.Argument(help="A kind of part, such as clip; else all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the parts that recipes are composed of, with their settings.

    Example: agentgym recipes parts clip
    """
    from agentgym.training.describe import kinds, parts_of

    with working("Reading the parts"):
        found = {name: parts_of(name) for name in ([kind] if kind else kinds())}
    if as_json:
        print_json({name: [_as_data(part) for part in parts] for name, parts in found.items()})
        return
    out = console()
    for name, parts in found.items():
        out.print(Text(name, "bold underline"))
        for part in parts:
            out.print(Padding(_part(part), (0, 0, 1, 2)))


def _as_data(part: PartInfo) -> dict[str, Any]:
    return {**part._asdict(), "settings": [setting._asdict() for setting in part.settings]}


def _told(recipe: Recipe) -> Text:
    told = Text(recipe.summary)
    if recipe.paper:
        told.append(f"\n{recipe.paper}", "dim")
    if recipe.provenance == "reconstructed":
        told.append("\nreconstructed", "yellow")
        told.append(": known from an abstract or a note only, not the authors' definition", "dim")
    if recipe.departures:
        told.append(f"\ndeparts from the released code: {recipe.departures}", "italic")
    return told


def _part(part: PartInfo) -> Table:
    grid = Table.grid()
    grid.add_row(Text.assemble((part.name, "bold"), f"  {part.summary}"))
    for setting in part.settings:
        grid.add_row(Padding(_setting(setting), (0, 0, 0, 2)))
    return grid


def _setting(setting: Setting) -> Text:
    default = "must be given" if setting.default is None else f"default {setting.default}"
    told = Text.assemble((setting.name, "cyan"), f": {setting.allowed}, {default}")
    if setting.published is not None:
        told.append(f", as published {setting.published}")
    if setting.meaning:
        told.append(f". {setting.meaning}", "dim")
    return told
