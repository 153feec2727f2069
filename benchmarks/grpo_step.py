"""A whole multi-turn GRPO step, rollouts and update: ours beside TRL's trainer with its environment support.

    pip install trl==1.16.0  # beside agentgym
    python -m benchmarks.grpo_step [--latency 0.05] [--bf16]

Both play the same number of episodes with the same model, and as many tokens in prompts, answers and
observations (told at the end); the world's steps take `--latency` seconds. TRL's answers are sampled at their real
length and then read as tool calls by decree, since a random model makes none: its parser and its failures cost it
nothing here. TRL trains without gradient checkpointing, on whole padded batches, its fastest setting on a CPU. Steps
alternate; the first of each is dropped. Prints seconds per step (CPU and wall) and the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.core.env import AgentEnv, Stepping, StepResult
from agentgym.core.message import Message
from agentgym.core.policy import Sampling
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.advantages.group import GroupMean
from agentgym.training.learner import Learner
from agentgym.training.sections import OptimiserSection
from agentgym.training.turns import TurnTable

MEDIUM = ModelConfig(hidden_size=256, layers=4, heads=8, kv_heads=4, head_dim=32, mlp_size=1024)
CHATML_TOKENS = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<tool_response>"]


@dataclass(frozen=True)
class Shape:
    """What an episode is made of."""

    tasks: int
    size: int
    turns: int
    prompt: int
    """Tokens of the first context."""
    observation: int
    """Tokens between two answers."""
    answer: int
    latency: float
    """Seconds that the world takes for a step."""


@dataclass
class Clock:
    """Seconds of each step, and tokens of an episode."""

    cpu: list[float] = field(default_factory=list[float])
    wall: list[float] = field(default_factory=list[float])
    tokens: float = 0.0
    _began: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Begin a step."""
        self._began = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        """End it."""
        self.cpu.append(time.process_time() - self._began[0])
        self.wall.append(time.perf_counter() - self._began[1])


def filled(words: list[str], fits: Any, target: int) -> str:
    """Return as many words as fit: `fits(text)` counts the tokens of a text with what surrounds it."""
    text = words[0]
    for word in words[1:]:
        if fits(longer := f"{text} {word}") > target:
            return text
        text = longer
    raise SystemExit(f"The words are too few for {target} tokens.")


class Errand(AgentEnv):
    """A world that says as many tokens as wanted and takes its time; the reward is drawn from the task."""

    def __init__(self, opening: str, news: str, shape: Shape) -> None:
        self.observation_space = self.action_space = Utf8Text()
        self._opening, self._news, self._shape = opening, news, shape
        self.stepping = Stepping.THREAD if shape.latency else Stepping.INLINE
        self._task: Task | None = None
        self._turn = 0

    @property
    def task(self) -> Task:
        """The task being played."""
        assert self._task is not None  # reset first
        return self._task

    def state_key(self) -> str:
        """Return the number of the turn."""
        return str(self._turn)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._task = (options or {})["task"]
        self._turn = 0
        return self._opening, {"success": False}

    def step(self, action: str) -> StepResult:
        """Take the time of a step; the last one is rewarded."""
        time.sleep(self._shape.latency)
        self._turn += 1
        over = self._turn == self._shape.turns
        reward = float(self.np_random.random()) if over else 0.0
        return self._news, reward, over, False, {"success": over and reward > 0.5}


class Ours:
    """The step as agentgym takes it."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, shape: Shape) -> None:
        self.clock = Clock()
        self._shape = shape
        renderer, words = ChatRenderer(tokenizer), vocabulary()

        def fits_opening(text: str) -> int:
            return len(renderer.encode(renderer.render([Message("user", text)])))

        self._texts = (
            filled(words, fits_opening, shape.prompt),
            filled(words, fits_opening, shape.observation),
        )
        self._policy = LocalPolicy(model, tokenizer)
        sampling = Sampling(max_tokens=shape.answer)
        self._agent = ChatAgent(self._policy, system_prompt="", sampling=sampling)
        self._learner = Learner(model, OptimiserSection(lr=1e-5))
        self._tasks = [Task(f"errand-{n}", "Errand", Split.TRAIN, n) for n in range(shape.tasks)]

    def step(self) -> None:
        """Play, learn, publish."""
        self.clock.start()
        shape, iteration = self._shape, self._learner.iteration
        plans = plan_groups(self._tasks, shape.size, label=f"train-{iteration}", seed=iteration)
        episodes = asyncio.run(
            collect(
                plans,
                self._agent,
                lambda: Errand(*self._texts, shape),
                concurrency=len(plans),
                max_turns=shape.turns,
            )
        )
        turns = TurnTable.from_episodes(episodes)
        self._learner.learn(episodes, turns, GroupMean(std=True)(turns))
        self._policy.set_version(self._learner.iteration)
        self.clock.stop()
        lengths = [len(t.prompt_ids) + len(t.completion_ids) for e in episodes for t in e.turns]
        self.clock.tokens = sum(lengths) / len(episodes)


def scripted_world(own: Any, shape: Shape) -> type:
    """Return the world as TRL takes it; `own` is the tokenizer, which counts what is said."""
    words = vocabulary()

    def act(command: str) -> str:
        """Do something.

        Args:
            command: What to do.
        """
        return command

    def fits_opening(text: str) -> int:
        chat = [{"role": "user", "content": text}]
        rendered = own.apply_chat_template(chat, tools=[act], add_generation_prompt=True, tokenize=False)
        return len(own.encode(rendered))

    def fits_news(text: str) -> int:
        chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
        told = [*chat, {"role": "tool", "name": "act", "content": text}]
        longer = own.apply_chat_template(told, add_generation_prompt=True, tokenize=False)
        return len(own.encode(longer)) - len(own.encode(own.apply_chat_template(chat, tokenize=False)))

    opening, news = filled(words, fits_opening, shape.prompt), filled(words, fits_news, shape.observation)
    chance = random.Random(0)

    class World:
        def reset(self, **_: Any) -> str:
            return opening

        def act(self, command: str) -> str:
            """Do something.

            Args:
                command: What to do.

            Returns:
                What came of it.
            """
            time.sleep(shape.latency)
            return news

        def get_reward(self) -> float:
            time.sleep(shape.latency)  # the last answer's step
            return chance.random()

    return World


def trl_settings(trl: Any, shape: Shape, steps: int, bf16: bool) -> Any:
    """Return the settings that are fastest on a CPU: whole batches, nothing computed twice."""
    return trl.GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-"),
        per_device_train_batch_size=shape.tasks * shape.size,
        num_generations=shape.size,
        max_completion_length=shape.turns * (shape.answer + shape.observation) + 64,
        max_tool_calling_iterations=shape.turns - 1,
        generation_kwargs={"max_new_tokens": shape.answer},
        max_steps=steps,
        learning_rate=1e-5,
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=bf16,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        log_completions=False,
    )


def trl_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    shape: Shape,
    steps: int,
    ours: Ours,
    bf16: bool,
) -> tuple[Any, Clock]:
    """Return TRL's trainer, whose every step is followed by one of ours, and its clock."""
    trl: Any = import_module("trl")
    grpo: Any = import_module("trl.trainer.grpo_trainer")
    callbacks, datasets = import_module("transformers.trainer_callback"), import_module("datasets")
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    own: Any = tokenizer
    own.chat_template = template.read_text("utf-8")
    clock = Clock()
    world = scripted_world(own, shape)
    call = {"type": "function", "function": {"name": "act", "arguments": {"command": "x"}}}

    def decreed(*_: Any, **__: Any) -> dict[str, Any]:
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    grpo.parse_response = decreed

    class Alternate(callbacks.TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop()
            ours.step()

    settings = trl_settings(trl, shape, steps, bf16)
    rows = [{"prompt": [{"role": "user", "content": ""}]} for _ in range(shape.tasks * steps)]
    trainer = trl.GRPOTrainer(
        model=model,
        args=settings,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        environment_factory=world,
        callbacks=[Alternate()],
    )
    loop = trainer._tool_call_loop

    def counted(prompts: Any, prompt_ids: Any, *rest: Any) -> Any:
        found = loop(prompts, prompt_ids, *rest)
        clock.tokens = sum(map(len, [*prompt_ids, *found[2]])) / len(prompt_ids)
        return found

    trainer._tool_call_loop = counted
    return trainer, clock


def vocabulary() -> list[str]:
    """Words of the household world, many of them, in a fixed order."""
    env = agentgym.make("household")
    return [word for seed in range(40) for word in str(env.reset(seed=seed)[0]).split()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--size", type=int, default=8, help="rollouts of each task")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of an environment's step")
    parser.add_argument("--steps", type=int, default=3, help="of each, the first is dropped")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    try:
        import_module("trl")
    except ImportError:
        print("This benchmark needs TRL beside agentgym: pip install trl==1.16.0", file=sys.stderr)
        return 2
    shape = Shape(options.tasks, options.size, options.turns, 600, 68, 36, options.latency)
    tokenizer = train_tokenizer(vocabulary(), 4096)
    theirs: Any = deepcopy(tokenizer)
    theirs.add_special_tokens({"additional_special_tokens": CHATML_TOKENS})
    theirs.eos_token = "<|im_end|>"
    model = make_model(MEDIUM, theirs, seed=0, device="cpu", dtype=torch.float32)
    ours = Ours(deepcopy(model), tokenizer, shape)
    trainer, clock = trl_trainer(model, theirs, shape, options.steps, ours, options.bf16)
    trainer.train()
    table = Table("", "s/step, CPU", "s/step, wall", "tokens of an episode")
    for name, seen in (("TRL", clock), ("agentgym", ours.clock)):
        table.add_row(
            name, f"{median(seen.cpu[1:]):.2f}", f"{median(seen.wall[1:]):.2f}", f"{seen.tokens:.0f}"
        )
    ratios = [
        median(a[1:]) / median(b[1:]) for a, b in ((clock.cpu, ours.clock.cpu), (clock.wall, ours.clock.wall))
    ]
    table.add_row("ratio", f"{ratios[0]:.1f} x", f"{ratios[1]:.1f} x", "")
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{shape.tasks} x {shape.size} episodes of {shape.turns} turns, {weights:,} weights, "
        f"{options.threads} thread(s), latency {shape.latency:g} s"
    )
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
