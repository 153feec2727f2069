"""The sections of a recipe that are no parts: where, what and how long to train."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from agentgym.agents.kinds import AgentKind
from agentgym.core.env import Stepping
from agentgym.rollout.rules import Limits, Rules
from agentgym.training.parts import Settings

_RULES = Rules()
Engine = Literal["local", "vllm"]
Share = Annotated[float, Field(ge=0, lt=1)]


class EnvironmentSection(Settings):
    """Where the policy acts."""

    id: str = "agentgym/Household-v0"
    """Its id or name, or the URL at which it is served, without the token: that one is in AGENTGYM_TOKEN."""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Passed to `agentgym.make`, such as `{difficulty = "easy"}`."""
    max_turns: int = Field(default=30, ge=1)


class ScratchModel(Settings):
    """A Qwen3-shaped model with random weights, and its own tokenizer trained on the demonstrations."""

    vocab_size: int = Field(default=1024, ge=300)
    single_digits: bool = False
    """Every digit a token: for worlds of many numbers, which have to be copied. Few numbers do better as one token each."""
    hidden_size: int = Field(default=128, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=2, ge=1)
    head_dim: int = Field(default=32, ge=8)
    mlp_size: int = Field(default=384, ge=8)
    max_context: int = Field(default=2048, ge=64)
    """Most tokens in one conversation."""
    init_std: float = Field(default=0.05, gt=0)
    """Standard deviation of the initial weights."""

    @model_validator(mode="after")
    def _shapes_fit(self) -> ScratchModel:
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ValueError("`heads` must be a multiple of `kv_heads`, and `head_dim` even")
        return self


class ModelSection(Settings):
    """What is trained: `path` (a directory or hub name), or `scratch`."""

    path: str = ""
    scratch: ScratchModel | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the trained weights. AdamW's small steps are lost in bfloat16 unless the learning rate is large."""

    @model_validator(mode="after")
    def _one_source(self) -> ModelSection:
        if bool(self.path) == (self.scratch is not None):
            raise ValueError("give either `path` (a directory or hub name) or a table `scratch`")
        return self


class WarmStartSection(Settings):
    """Supervised training on the oracle's demonstrations before the reinforcement learning."""

    demonstrations: int = Field(default=500, ge=1)
    noise: float = Field(default=0.2, ge=0, lt=1)
    """Probability that a demonstration takes a random action, from which the oracle then recovers; the
    random actions are not trained on."""
    only_solved: bool = True
    """Leave out demonstrations that did not solve their task. Turn it off where the expert errs, and reinforcement is
    to find out what pays."""
    epochs: int = Field(default=10, ge=1)
    lr: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    tokens_per_step: int = Field(default=8192, ge=64)
    train_on: Literal["all", "completions"] = "completions"
    """`all` also learns to predict observations, which a model without pre-training needs."""


class RolloutSection(Settings):
    """How episodes are played."""

    tasks: int = Field(default=16, ge=1)
    """Tasks per iteration."""
    group_size: int = Field(default=8, ge=1)
    """Rollouts of each task."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Below 1 the sampled tokens follow another distribution than the one trained: fine for play, biased
    for training."""
    max_tokens: int = Field(default=32, ge=1)
    """Most tokens in one answer."""
    concurrency: int = Field(default=128, ge=1)
    """Most episodes in flight."""
    engine: Engine = "local"
    """What samples. `vllm` needs vLLM installed, which then runs in the trainer's process with weights of its own."""
    stepping: Literal["auto", "inline", "thread", "process"] = "auto"
    """Where environments run: on the event loop, or each in a thread or a process. `auto`: as they say themselves."""
    reset_timeout_s: float = Field(default=_RULES.limits.reset_s, gt=0, allow_inf_nan=False)
    """A reset that takes longer, the making of the environment included, is a fault of the environment."""
    step_timeout_s: float = Field(default=_RULES.limits.step_s, gt=0, allow_inf_nan=False)
    """As is a step that takes longer. An environment on the event loop cannot be timed."""
    policy_timeout_s: float = Field(default=_RULES.limits.policy_s, gt=0, allow_inf_nan=False)
    """A decision that takes longer is a fault of the policy."""
    episode_timeout_s: float = Field(default=_RULES.limits.episode_s, gt=0, allow_inf_nan=False)
    """An episode that takes longer is truncated."""
    retries: int = Field(default=_RULES.retries, ge=0)
    """How often an episode is played again, with the same seed, that ended by a fault of the environment, the policy or
    a sandbox."""
    retry_share: float = Field(default=_RULES.retry_share, ge=0, le=1)
    """The most episodes played again, as a share of those planned together."""
    min_group: int = Field(default=2, ge=1)
    """A group that lost members to such faults is learned from if at least so many have a score."""
    stall_s: float = Field(default=_RULES.stall_s, gt=0, allow_inf_nan=False)
    """After so many seconds in which no episode went on, the run says who holds it up, and writes down all stacks."""

    @model_validator(mode="after")
    def _groups_large_enough(self) -> RolloutSection:
        if self.min_group > max(self.group_size, 2):
            raise ValueError(
                "`min_group` is more than `group_size`: no group that lost a member could be used"
            )
        return self

    @property
    def rules(self) -> Rules:
        """The same as `collect` takes it."""
        return Rules(
            stepping=None if self.stepping == "auto" else Stepping(self.stepping),
            limits=Limits(
                self.reset_timeout_s, self.step_timeout_s, self.policy_timeout_s, self.episode_timeout_s
            ),
            retries=self.retries,
            retry_share=self.retry_share,
            stall_s=self.stall_s,
        )


class AgentSection(Settings):
    """How observations become messages and answers become actions."""

    kind: AgentKind = "chat"
    """`chat`: each answer is a command. `react`: a thought and then an action. `toolcalling`: a call of one of the
    environment's tools. `planner`: planner, executor, verifier and generator over a shared memory. Or the name of
    another package's agent."""
    system_prompt: str | None = None
    """Unset: a short one that names the action format. Empty: none."""
    action_format: Literal["plain", "tagged"] = "plain"
    history: Literal["full"] | PositiveInt = "full"
    """How many of the last exchanges the agent sees besides the first observation."""
    show_admissible: bool = False
    """List the admissible actions under each observation."""
    restate_task: bool = False
    """Repeat the instruction under each observation: a small model need not look for it far back."""
    remind_every: int = Field(default=0, ge=0)
    """Repeat it under every so many observations only; 0: not by number."""
    remind_above: float | None = Field(default=None, ge=0)
    """Repeat it after an answer whose context drift is above this, in nats per token."""

    @model_validator(mode="after")
    def _has_formats(self) -> AgentSection:
        if self.action_format != "plain" and self.kind in ("react", "toolcalling"):
            raise ValueError(
                f"`action_format` is for the kinds 'chat' and 'planner'; {self.kind!r} has a form of its own"
            )
        return self


class OptimiserSection(Settings):
    """AdamW and its schedule over iterations."""

    lr: float = Field(default=1e-6, gt=0)
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    grad_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    warmup: int = Field(default=0, ge=0)
    """Iterations over which the learning rate rises from 0."""
    decay: Literal["constant", "linear", "cosine"] = "constant"
    """How it falls from there; `linear` and `cosine` reach a tenth at the last iteration."""


class EvaluationSection(Settings):
    """Evaluations: before and after on held-out tasks, and during training on `select` tasks."""

    heldout_tasks: int = Field(default=100, ge=0)
    """Tasks of each held-out part; 0 leaves the held-out evaluations out."""
    samples: int = Field(default=1, ge=1)
    """Episodes of each task."""
    temperature: float = Field(default=0.0, ge=0)
    every: int = Field(default=0, ge=0)
    """Iterations between evaluations on `select`; 0 for none."""
    select_tasks: int = Field(default=64, ge=1)
    drift_episodes: int = Field(default=0, ge=0)
    """Episodes of each iteration whose context drift is measured, turn by turn: how far the conversation has carried the
    policy's answers away from those it would give to the goal and the present observation alone."""


class TrackingSection(Settings):
    """Who is told of the metrics while they come, besides the run's own files and TensorBoard."""

    wandb: bool = False
    """Weights & Biases: live where it has a key, else in a folder for `wandb sync`."""


class CheckpointSection(Settings):
    """When to save, and how much to keep."""

    every: int = Field(default=1, ge=1)
    keep: int = Field(default=2, ge=1)
