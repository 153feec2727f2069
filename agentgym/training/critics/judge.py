"""The critic in the training loop: it learns from an iteration's episodes, then judges their turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.core.policy import Sampling
from agentgym.policies.local import LocalPolicy
from agentgym.rollout.collect import derive_seed
from agentgym.training.critics.answers import answer_anew
from agentgym.training.critics.base import Learned
from agentgym.training.critics.estimator import Estimator
from agentgym.training.critics.extraction import BestOfN
from agentgym.training.critics.features import Features, turn_features
from agentgym.training.experience import Experience
from agentgym.training.learner import Learner
from agentgym.training.recipe import Recipe
from agentgym.training.turns import Indices, TurnTable


class Judge:
    """A recipe's critic over the features of the learner's reference model."""

    def __init__(self, recipe: Recipe, learner: Learner) -> None:
        critic = recipe.critic
        if not isinstance(critic, Learned) or learner.reference is None:
            raise UsageError("A judge needs a critic, and a learner with a reference model for its features.")
        self._recipe = recipe
        self._critic = critic
        self._learner = learner
        self._model = learner.reference
        size = int(self._model.config.hidden_size)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        self.estimator = Estimator(critic, size, seed=recipe.seed, device=self._model.device)

    def save(self, folder: Path) -> None:
        """Write the critic into a checkpoint."""
        self.estimator.save(folder)

    def load(self, folder: Path) -> None:
        """Go on as a checkpoint has it; raises `CheckpointError`."""
        self.estimator.load(folder)

    def __call__(
        self, experience: Experience, turns: TurnTable, policy: LocalPolicy
    ) -> tuple[Experience, TurnTable, dict[str, float]]:
        """Let the critic learn from the turns of an iteration; return what the policy is to learn from, judged:
        the turns as they are, or better answers to them, or nothing while the critic is ahead. And metrics.
        """
        features = self._features(experience)
        metrics = self.estimator.learn(turns, features, self._learner.iteration)
        judged = self._judged(turns, features)
        answered = np.flatnonzero(turns.tokens_R > 0)
        metrics["value"] = float(self.estimator.value(features)[answered].mean()) if len(answered) else 0.0
        if self._learner.iteration < self._critic.ahead:
            return Experience([]), TurnTable.from_episodes([]), metrics
        if isinstance(self._recipe.extraction, BestOfN) and len(answered):
            experience, judged = self._answered_anew(self._recipe.extraction, experience, answered, policy)
        return experience, judged, metrics

    def _answered_anew(
        self, extraction: BestOfN, experience: Experience, answered: Indices, policy: LocalPolicy
    ) -> tuple[Experience, TurnTable]:
        """Return the best new answers of the policy to some of the answered turns."""
        seed = derive_seed(self._recipe.seed, "answers", self._learner.iteration)
        count = min(extraction.states, len(answered))
        chosen = np.sort(np.random.default_rng(seed).choice(answered, count, replace=False))
        rollout = self._recipe.rollout
        sampling = Sampling(rollout.temperature, rollout.top_p, rollout.max_tokens)
        engine = policy.new_engine()
        episodes = answer_anew(engine, experience.episodes, chosen, extraction.answers, sampling, seed)
        features = self._features(Experience(episodes))
        quality_SN = self.estimator.quality(features).reshape(-1, extraction.answers)
        best = np.arange(len(chosen)) * extraction.answers + quality_SN.argmax(1)
        taken = Experience([episodes[int(index)] for index in best], [False] * len(best))
        chosen_features = Features(features.state_RH[best], features.answer_RH[best])
        return taken, self._judged(TurnTable.from_episodes(taken.episodes), chosen_features)

    def _features(self, experience: Experience) -> Features:
        return turn_features(self._model, experience.episodes, self._learner.limits.tokens_per_microbatch)

    def _judged(self, turns: TurnTable, features: Features) -> TurnTable:
        return replace(
            turns,
            value_R=self.estimator.value(features),
            quality_R=self.estimator.quality(features) if "quality" in self._critic.heads else None,
        )
