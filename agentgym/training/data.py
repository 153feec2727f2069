"""Where an iteration's episodes come from: played by the policy or an expert, or recorded."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from agentgym.training.parts import Part


class Data(Part, kind="data"):
    """Where an iteration's episodes come from."""

    on_policy: ClassVar[bool] = True
    """Whether the policy that learns from them has sampled them."""
    asks_for_oracle: ClassVar[bool] = False
    """Whether the environment must have an expert."""


class Played(Data, name="rollouts"):
    """The policy plays them as it is now, as the recipe's section `rollout` says."""


class Demonstrated(Data, name="demonstrations"):
    """The environment's expert plays `rollout.tasks` tasks, and its answers are what is trained on."""

    on_policy: ClassVar[bool] = False
    asks_for_oracle: ClassVar[bool] = True


class Recorded(Data, name="recorded"):
    """They were recorded by a run: offline training. An iteration takes `rollout.tasks` whole groups; every group
    comes once, in shuffled order, before any comes again.

    Environment, agent, sampling settings and the model to start from are those of the recorded run where it
    is read as a recipe is loaded (`as_recorded`). Only episodes on train tasks are learned from.
    """

    path: str = ""
    """The run's directory, or a store file."""
    run: str = ""
    """The run's id in the store; may be left out where there is only one."""
    first: int = Field(default=0, ge=0)
    """The first recorded iteration that is used."""
    last: int | None = Field(default=None, ge=0)
    """The last one; unset: all that there are."""
    as_recorded: bool = True
    """Take the settings of the recorded run. Done when the recipe is read, and then false: they are written out."""

    on_policy: ClassVar[bool] = False
