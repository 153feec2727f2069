"""`Evaluation`: what came of playing a fixed list of tasks, with the figures that summarise it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
from pydantic import JsonValue, ValidationError

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.policy import NO_TOKENS, TokenCount
from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.evaluation.rates import PassRates, Rate, pass_rates, success_rate
from agentgym.evaluation.results import EpisodeResult, Record, Timing, by_task
from agentgym.policies.spending import Prices

FORMAT = "agentgym-evaluation-1"

By: TypeAlias = Literal["group", "task_type", "difficulty"]
"""What tasks are told apart by."""


class Evaluation(Record):
    """A policy's episodes on fixed tasks and seeds.

    Episodes that ended by a fault of the infrastructure (`lost`) have no score and enter no effective rate.
    """

    env_id: str
    suite: str
    suite_version: str
    split: Split
    agent: str
    """The agent's name."""
    seed: int
    samples: int
    """Episodes of each task."""
    max_turns: int
    token_limit: int | None = None
    """Most tokens that an episode samples."""
    time_limit: float | None = None
    """Most seconds of an episode."""
    options: dict[str, JsonValue]
    """Options of the environment."""
    prices: Prices | None = None
    """What a million tokens cost."""
    created: str
    """UTC, ISO 8601."""
    planned: int | None = None
    """Episodes that were to be played; None: those that were."""
    retried: int = 0
    """Attempts that a fault of the infrastructure ended and that were made again."""
    wasted: TokenCount = NO_TOKENS
    """Tokens of these attempts."""
    timing: Timing | None = None
    scorer: str = ""
    """The function that judged the episodes; empty: their environment."""
    results: tuple[EpisodeResult, ...]
    """By task, then sample."""

    @property
    def scored(self) -> list[EpisodeResult]:
        """The episodes that say something about the agent."""
        return [result for result in self.results if result.outcome.scored]

    @property
    def lost(self) -> dict[str, int]:
        """Number of episodes without a score, by outcome."""
        return dict(Counter(result.outcome.value for result in self.results if not result.outcome.scored))

    @property
    def missing(self) -> int:
        """Episodes that were not played: it was interrupted, or its money spent."""
        return 0 if self.planned is None else self.planned - len(self.results)

    def parts(self, by: By) -> list[str]:
        """The named parts with a scored episode: groups in order of appearance, others in alphabetical order."""
        names = list(dict.fromkeys(name for result in self.scored if (name := str(getattr(result, by)))))
        return names if by == "group" else sorted(names)

    @property
    def groups(self) -> list[str]:
        """The named groups of tasks with a scored episode."""
        return self.parts("group")

    @property
    def task_types(self) -> list[str]:
        """The named kinds of task with a scored episode."""
        return self.parts("task_type")

    @property
    def difficulties(self) -> list[str]:
        """The named difficulties with a scored episode."""
        return self.parts("difficulty")

    def has_group(self, name: str) -> bool:
        """Whether there is a rate for a group."""
        return name in self.groups

    def rate(
        self,
        group: str | None = None,
        task_type: str | None = None,
        difficulty: str | None = None,
        *,
        of_all: bool = False,
    ) -> Rate:
        """Return the effective success rate over all tasks, or those of a group, a kind and a difficulty.

        With `of_all` episodes that a fault of the infrastructure ended count as unsolved. Raises `UnknownNameError`
        for a part without scored episodes, and `UsageError` where no episode has a score.
        """
        wanted = {"group": group, "task_type": task_type, "difficulty": difficulty}
        for by, name in wanted.items():
            if name is not None and name not in self.parts(cast(By, by)):
                raise UnknownNameError(by.replace("group", "task group"), name, self.parts(cast(By, by)))
        return success_rate(
            result
            for result in (self.results if of_all else self.scored)
            if all(name in (None, getattr(result, by)) for by, name in wanted.items())
        )

    @property
    def pass_ks(self) -> list[int]:
        """The k of the pass rates worth reporting: powers of two, up to the scored samples of a task."""
        most = max((len(task) for task in by_task(self.scored).values()), default=0)
        return [2**power for power in range(most.bit_length())]

    def pass_rates(self, k: int, *, of_all: bool = False) -> PassRates:
        """Return pass@k, pass^k and avg@k over the tasks with at least k scored episodes, or k of any kind.

        Raises `UsageError` where there are none.
        """
        return pass_rates(self.results if of_all else self.scored, k)

    @property
    def mean_score(self) -> float:
        """Sum of rewards of a scored episode."""
        return float(np.mean([cast(float, result.score) for result in self.scored]))

    @property
    def mean_turns(self) -> float:
        """Turns of a scored episode."""
        return float(np.mean([result.turns for result in self.scored]))

    @property
    def invalid_action_rate(self) -> float:
        """Share of the turns of scored episodes that were no valid action."""
        return sum(r.invalid_turns for r in self.scored) / max(1, sum(r.turns for r in self.scored))

    @property
    def mean_sampled_tokens(self) -> float:
        """Tokens the policy sampled in a scored episode."""
        return float(np.mean([max(r.sampled_tokens, r.completion_tokens) for r in self.scored]))

    @property
    def cost(self) -> float | None:
        """What the tokens of all episodes cost, lost ones and failed attempts included; None without prices."""
        if self.prices is None:
            return None
        prompt = self.wasted.prompt + sum(result.prompt_tokens for result in self.results)
        completion = self.wasted.completion + sum(result.completion_tokens for result in self.results)
        return self.prices.cost(prompt, completion)

    @property
    def stop_reasons(self) -> dict[str, int]:
        """Number of scored episodes by what stopped them, most frequent first."""
        return dict(Counter(result.stop_reason.value for result in self.scored).most_common())

    @property
    def stops(self) -> dict[str, dict[str, int]]:
        """Number of all episodes by what stopped them, and in these by outcome; most frequent first."""
        found: dict[str, Counter[str]] = {}
        for result in self.results:
            found.setdefault(result.stop_reason.value, Counter())[result.outcome.value] += 1
        by_size = sorted(found.items(), key=lambda entry: -entry[1].total())
        return {reason: dict(outcomes.most_common()) for reason, outcomes in by_size}

    def summary(self) -> dict[str, Any]:
        """Return the figures as JSON data; what there is without any scored episode where there is none."""
        counts: dict[str, Any] = {
            "episodes": len(self.results),
            "missing": self.missing,
            "solved": sum(result.outcome is Outcome.SUCCESS for result in self.results),
            "lost": self.lost,
            "retried": self.retried,
            "stops": self.stops,
        }
        if not self.scored:
            return counts
        return {
            "success": self.rate().model_dump(),
            "success_of_all": self.rate(of_all=True).model_dump(),
            "groups": {name: self.rate(group=name).model_dump() for name in self.groups},
            "task_types": {name: self.rate(task_type=name).model_dump() for name in self.task_types},
            "difficulties": {name: self.rate(difficulty=name).model_dump() for name in self.difficulties},
            "passes": [self.pass_rates(k).model_dump() for k in self.pass_ks],
            "passes_of_all": [self.pass_rates(k, of_all=True).model_dump() for k in self.pass_ks],
            "stop_reasons": self.stop_reasons,
            "mean_score": self.mean_score,
            "mean_turns": self.mean_turns,
            "invalid_action_rate": self.invalid_action_rate,
            "mean_sampled_tokens": self.mean_sampled_tokens,
            "mean_prompt_tokens": float(np.mean([result.prompt_tokens for result in self.scored])),
            "cost": self.cost,
            "timing": None if self.timing is None else self.timing.model_dump(),
            **counts,
        }

    def to_data(self) -> dict[str, Any]:
        """Return the evaluation and its summary as JSON data."""
        return {"format": FORMAT, "summary": self.summary(), "evaluation": self.model_dump(mode="json")}

    def to_json(self) -> str:
        """Return the evaluation and its summary as JSON text."""
        return json.dumps(self.to_data(), indent=1)

    @classmethod
    def from_json(cls, text: str, source: str = "the text") -> Self:
        """Read `to_json`'s output; raises `UsageError` that names `source` for anything else."""
        try:
            content: Any = json.loads(text)
            found = cast("dict[str, Any]", content).get("format") if isinstance(content, dict) else None
            if found != FORMAT:
                raise UsageError(
                    f"{source} is no evaluation of format {FORMAT!r} (got {found!r}); "
                    "evaluate again with this version of agentgym."
                )
            return cls.model_validate(content["evaluation"])
        except (json.JSONDecodeError, KeyError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{source} is damaged ({reason}); evaluate again to replace it.") from error

    def save(self, path: str | Path) -> None:
        """Write the evaluation to a JSON file; a reader never sees half of it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + ".part")
        unfinished.write_text(self.to_json(), encoding="utf-8")
        unfinished.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an evaluation; raises `UsageError` for a missing, damaged or foreign file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read an evaluation from {path}: {error}.") from error
        return cls.from_json(text, str(path))
