"""`agentgym`: the commands, and what becomes of errors.

What the user got wrong ends with exit code 2 and a message; an interrupt with 130; what the machine refuses
(no space, no permission, a broken world) with 1 and a message. Only a defect of agentgym itself shows a
traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from agentgym import __version__
from agentgym.cli.adaptation import adapt
from agentgym.cli.attribution import attribute
from agentgym.cli.bench import app as bench
from agentgym.cli.console import error_console, show_error
from agentgym.cli.doctor import doctor
from agentgym.cli.environments import check, envs, play
from agentgym.cli.evaluation import evaluate
from agentgym.cli.evolution import evolve
from agentgym.cli.gateway import gateway
from agentgym.cli.judging import compare, leaderboard, power
from agentgym.cli.mcp import mcp
from agentgym.cli.memory import app as memory
from agentgym.cli.recipes import app as recipes
from agentgym.cli.replay import replay
from agentgym.cli.saved import export, rescore
from agentgym.cli.serve import serve
from agentgym.cli.start import app as init
from agentgym.cli.training import quickstart, train
from agentgym.cli.viewing import view
from agentgym.core.errors import AgentGymError, UsageError

app = typer.Typer(
    name="agentgym",
    help="The gym and the trainer for LLM agents that learn. Start with: agentgym quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (quickstart, envs, play, check, replay, train, gateway, serve, mcp, doctor):
    app.command()(command)
app.command(name="eval")(evaluate)
for command in (evolve, adapt, attribute, compare, power, leaderboard, export, rescore, view):
    app.command()(command)
app.add_typer(recipes, name="recipes")
app.add_typer(memory, name="memory")
app.add_typer(bench, name="bench")
app.add_typer(init, name="init")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentgym {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def _lacking(error: ModuleNotFoundError) -> UsageError:
    """Say which extra brings a module; raises the error itself where none does."""
    from agentgym.cli.diagnosis import DISTRIBUTION, extra_with

    extra = extra_with(error.name or "")
    if extra is None:
        raise error
    return UsageError(
        f"This needs {error.name}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'."
    )


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line, or `args` in its place, and exit."""
    try:
        app(args, prog_name=app.info.name)
    except AgentGymError as error:
        sys.exit(show_error(error))
    except ModuleNotFoundError as error:
        sys.exit(show_error(_lacking(error)))
    except OSError as error:
        if error.filename is None:  # not about a file: nothing the user could look at
            raise
        sys.exit(show_error(error))
    except KeyboardInterrupt:
        error_console().print("Interrupted.")
        sys.exit(130)
