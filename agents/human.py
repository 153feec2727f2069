"""A person at the terminal as an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import AgentGymError, did_you_mean

_HELP = "A number or a command; ? lists all actions, hint asks the expert, quit leaves."


class PlayerQuit(AgentGymError):
    """The person at the keyboard has had enough; not a failure of anything."""

    def __init__(self) -> None:
        super().__init__("The player left the game.")


class HumanAgent:
    """Shows each observation with numbered hints and reads what to do.

    Takes a number, a command, `?` (all admissible actions), `hint` (what the oracle would do) or `quit`.
    `stream` is read instead of the keyboard; its end counts as `quit`. `hints` is how many of the
    admissible actions are listed unasked.
    """

    name = "human"

    def __init__(self, console: Console | None = None, stream: TextIO | None = None, hints: int = 12) -> None:
        self.console = console or Console()
        self.stream = stream
        self.hints = hints

    def start(self, start: EpisodeStart) -> HumanSession:
        """Begin an episode."""
        return HumanSession(self, start)


class HumanSession:
    """One episode played by a person."""

    def __init__(self, agent: HumanAgent, start: EpisodeStart) -> None:
        self._agent = agent
        self._start = start
        self._console = agent.console
        self._turn = 0

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Show the observation and ask until there is an action; raises `PlayerQuit`."""
        admissible: Sequence[Action] = info.get("admissible_actions", ())
        self.show(observation)
        self._list(admissible, self._agent.hints)
        if self._turn == 0:
            self._say(_HELP, "dim")
        self._turn += 1
        while True:
            answer = self._read()
            match answer:
                case "":
                    continue
                case "quit":
                    raise PlayerQuit
                case "?":
                    self._list(admissible, len(admissible))
                case "hint":
                    self._say(f"The expert would: {await self._start.oracle() or 'not know'}", "green")
                case _ if answer.isdecimal():
                    if 1 <= int(answer) <= len(admissible):
                        return Decision(admissible[int(answer) - 1])
                    known = f"they go from 1 to {len(admissible)}" if admissible else "type a command"
                    self._say(f"There is no action {answer}; {known}.", "yellow")
                case _:
                    self._doubt(answer, admissible)
                    return Decision(answer)

    def close(self) -> None:
        """Nothing is held."""

    def show(self, observation: Any) -> None:
        """Print what the environment says, in a frame."""
        text: str = observation if isinstance(observation, str) else observation["text"]
        self._console.print(Panel(Text(text.strip()), border_style="cyan"))

    def _list(self, admissible: Sequence[Action], most: int) -> None:
        shown = [Text(f"{number:>3} {action}") for number, action in enumerate(admissible[:most], start=1)]
        if shown:
            self._console.print(Columns(shown, padding=(0, 2)))
        if len(admissible) > len(shown):
            self._say(f"... and {len(admissible) - len(shown)} more; ? lists them", "dim")

    def _doubt(self, answer: str, admissible: Sequence[Action]) -> None:
        known = [action for action in admissible if isinstance(action, str)]
        if known and answer not in known:
            self._say(f"Not among the known actions.{did_you_mean(answer, known)}", "yellow")

    def _read(self) -> str:
        try:
            line = self._console.input("> ", markup=False, stream=self._agent.stream)
        except EOFError:
            self._console.print()  # leave the prompt's line
            raise PlayerQuit from None
        if self._agent.stream is not None:  # no keyboard echoes what is typed
            self._console.print(Text(line.rstrip()))
            if not line:
                raise PlayerQuit
        return line.strip()

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))
