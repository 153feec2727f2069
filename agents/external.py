"""Agents that live elsewhere: they own their loop, and know a task, a base URL and a token."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, NamedTuple, TypeAlias

from agentgym.core.errors import UsageError
from agentgym.core.task import Task

OUTPUT_BYTES = 16 << 20
"""What is read, at most, of what a program writes."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an external agent is given for one episode."""

    task: Task
    seed: int
    base_url: str
    """Where its model is, for OpenAI's clients; every call there belongs to this episode."""
    token: str = field(repr=False)
    """The key to give the client."""
    model: str
    """The name to call the model by."""

    @property
    def anthropic_base_url(self) -> str:
        """The same for Anthropic's clients, which add `/v1` themselves."""
        return self.base_url.removesuffix("/v1")

    @property
    def reward_url(self) -> str:
        """Where the reward may be posted, by whoever knows it."""
        return f"{self.anthropic_base_url}/reward"

    def variables(self) -> dict[str, str]:
        """Return environment variables for a program: those that clients look for, and `AGENTGYM_...`."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.token,
            "ANTHROPIC_BASE_URL": self.anthropic_base_url,
            "ANTHROPIC_API_KEY": self.token,
            "AGENTGYM_MODEL": self.model,
            "AGENTGYM_REWARD_URL": self.reward_url,
            "AGENTGYM_SEED": str(self.seed),
            "AGENTGYM_TASK": json.dumps(self.task.to_json()),
        }


class Verdict(NamedTuple):
    """What an episode was worth."""

    reward: float
    success: bool | None = None
    """Whether the task is solved; None: where the reward is above 0."""


ExternalAgent: TypeAlias = Callable[[Assignment], Verdict | Awaitable[Verdict | None] | None]
"""Plays one episode; an ordinary function runs in a thread. None: the reward was posted to `reward_url`."""


class ProgramFailed(Exception):
    """An agent's program ended with another exit code than 0."""


class ProgramAgent:
    """Runs a program for each episode, with `Assignment.variables` in its environment.

    `judge` is given the assignment and what the program wrote to standard output (its last `OUTPUT_BYTES`), and
    returns the verdict; without one the program, or what it talks to, posts the reward.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        judge: Callable[[Assignment, str], Verdict] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        if not command:
            raise UsageError("ProgramAgent needs a command: the program and its arguments.")
        if shutil.which(command[0]) is None:
            raise UsageError(f"There is no program {command[0]!r}; give its path, or put it on the PATH.")
        self._command = list(command)
        self._judge = judge
        self._variables = dict(variables or {})

    async def __call__(self, assignment: Assignment) -> Verdict | None:
        """Run the program to its end; one that is cancelled is killed, with the processes it started.

        Raises `ProgramFailed`, with the end of its standard error.
        """
        # Files, as a pipe has no end before every process that the program left behind has closed it.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **self._variables, **assignment.variables()},
                start_new_session=True,
            )
            try:
                await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            if process.returncode:
                tail = _end_of(errors, 2000).strip()
                raise ProgramFailed(f"{self._command[0]} ended with exit code {process.returncode}: {tail}")
            return None if self._judge is None else self._judge(assignment, _end_of(output, OUTPUT_BYTES))


def _end_of(file: IO[bytes], most: int) -> str:
    """Return at most the last `most` bytes of a file as text."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return file.read(most).decode("utf-8", "replace")
