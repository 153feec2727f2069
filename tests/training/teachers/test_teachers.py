"""What teachers say of the student's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from agentgym.core.errors import CheckpointError, ConfigError
from agentgym.core.trace import Episode
from agentgym.policies.models import LoadedModel, make_model
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.training.packing import micro_batches, pack
from agentgym.training.scoring import score_tokens
from agentgym.training.teachers.base import Lesson, Surroundings
from agentgym.training.teachers.hints import expert_plans, feedback, next_messages
from agentgym.training.teachers.itself import SelfTeacher
from agentgym.training.teachers.model import ModelTeacher
from agentgym.training.tokens import Floats, TokenTable
from tests.training.teachers.conftest import SIZES, Player, around, household


def with_model(place: Surroundings, teacher: LoadedModel) -> Surroundings:
    def opened(path: str) -> LoadedModel:
        return teacher

    return replace(place, open_model=opened)


def other_weights(student: LoadedModel) -> LoadedModel:
    return LoadedModel(make_model(SIZES, student.tokenizer, seed=7, device="cpu"), student.tokenizer)  # type: ignore[arg-type]


def logps_of(lesson: Lesson, episodes: Sequence[Episode], count: int) -> Floats:
    """Return what a lesson's distributions say of the sampled tokens."""
    logp_N = np.full(count, np.nan, np.float32)
    for batch in micro_batches(pack(episodes), 200, torch.device("cpu")):
        logits_NV = lesson(batch)
        logp_N[batch.token_N] = (
            logits_NV.log_softmax(-1).gather(-1, batch.target_ids_N[:, None])[:, 0].numpy()
        )
    return logp_N


def test_a_model_scores_each_token_in_the_students_context(student: LoadedModel, play: Player) -> None:
    teacher, episodes = other_weights(student), play(student)
    tokens = TokenTable.from_episodes(episodes)
    tutor = ModelTeacher(path="there").tutor(with_model(around(student), teacher))
    expected = score_tokens(
        teacher.model, pack(episodes), len(tokens), temperature=1.0, tokens_per_microbatch=4096
    ).logp_N
    lesson = tutor.lesson(episodes, tokens)
    np.testing.assert_allclose(lesson.logp(), expected, atol=1e-5)
    np.testing.assert_allclose(logps_of(lesson, episodes, len(tokens)), expected, atol=1e-5)


def test_the_student_as_teacher_without_a_hint_agrees_with_itself(student: LoadedModel, play: Player) -> None:
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    lesson = ModelTeacher(path="there").tutor(with_model(around(student), student)).lesson(episodes, tokens)
    np.testing.assert_allclose(lesson.logp(), tokens.sampler_logp_N, atol=1e-4)


@pytest.fixture
def stranger(world_text: list[str]) -> LoadedModel:
    """A teacher with another tokenizer."""
    tokenizer = train_tokenizer(world_text, 420)
    return LoadedModel(make_model(SIZES, tokenizer, seed=5, device="cpu"), tokenizer)


def test_another_tokenizer_is_refused_for_whole_distributions(
    student: LoadedModel, stranger: LoadedModel
) -> None:
    with pytest.raises(ConfigError, match=r"another tokenizer .* Use the sampled form"):
        ModelTeacher(path="there").tutor(with_model(around(student, exact=True), stranger))


def test_another_tokenizer_scores_the_text_of_turns(
    student: LoadedModel, stranger: LoadedModel, play: Player
) -> None:
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    tutor = ModelTeacher(path="there").tutor(with_model(around(student), stranger))
    logp_N = tutor.lesson(episodes, tokens).logp()
    renderer = ChatRenderer(stranger.tokenizer)
    turn = episodes[0].turns[0]
    context = renderer.encode(renderer.render(turn.messages_delta[:-1]))
    ended = int(turn.completion_ids[-1]) == student.tokenizer.eos_token_id
    text = turn.messages_delta[-1].content
    answer = renderer.dictated_ids(text) if ended else renderer.encode(text)
    with torch.no_grad():
        logits = stranger.model(torch.tensor([[*context, *answer]])).logits[0].log_softmax(-1)
    score = sum(float(logits[len(context) - 1 + n, token]) for n, token in enumerate(answer))
    of_turn = tokens.turn_N == 0
    assert logp_N[of_turn].sum() == pytest.approx(score, abs=1e-3)
    difference_N = (logp_N - tokens.sampler_logp_N)[of_turn]
    np.testing.assert_allclose(difference_N, difference_N[0], atol=1e-5)


@pytest.mark.parametrize("hint", ["oracle", "feedback", "next_message"])
def test_a_hint_changes_what_the_same_weights_think(student: LoadedModel, play: Player, hint: str) -> None:
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    tutor = SelfTeacher.model_validate({"hint": hint}).tutor(around(student))
    lesson = tutor.lesson(episodes, tokens)
    logp_N = lesson.logp()
    assert np.isfinite(logp_N).all()
    assert np.abs(logp_N - tokens.sampler_logp_N).max() > 1e-3
    np.testing.assert_allclose(logps_of(lesson, episodes, len(tokens)), logp_N, atol=1e-5)


def test_where_no_hint_is_known_nothing_is_said(student: LoadedModel, play: Player) -> None:
    episodes = [replace(episode, final_observation=None) for episode in play(student)]
    tokens = TokenTable.from_episodes(episodes)
    lesson = SelfTeacher(hint="next_message").tutor(around(student)).lesson(episodes, tokens)
    ends = np.cumsum([len(episode.turns) for episode in episodes]) - 1
    last_N = np.isin(tokens.turn_N, ends)
    assert last_N.any()
    np.testing.assert_array_equal(np.isnan(lesson.logp()), last_N)
    np.testing.assert_array_equal(np.isnan(logps_of(lesson, episodes, len(tokens))), last_N)


def test_hints_that_outgrow_the_models_context_are_left_out(student: LoadedModel, play: Player) -> None:
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    longest = max(len(row.ids) for row in pack(episodes))
    student.model.config.max_position_embeddings = longest + 5
    lesson = SelfTeacher(hint="oracle").tutor(around(student)).lesson(episodes, tokens)
    assert np.isnan(lesson.logp()).any()


def test_hints_tell_what_came_after(student: LoadedModel, play: Player) -> None:
    episode = play(student)[0]
    said = next_messages(episode)
    assert str(episode.turns[1].observation) in said[0]
    assert str(episode.final_observation) in said[-1]
    assert all(text.endswith("The episode ended in failure.") for text in feedback(episode))


def test_plans_are_the_experts_whole_solution(student: LoadedModel, play: Player) -> None:
    episode = play(student)[0]
    (plan,) = expert_plans([episode], household, 40)
    env = household()
    env.reset(seed=episode.seed, options={"task": episode.task})
    first = env.oracle()
    env.close()
    assert plan.startswith(f"One way to solve it: {first}, ")
    assert expert_plans([episode], household, 1) == [""]


def test_an_average_follows_the_student_and_is_saved(
    student: LoadedModel, play: Player, tmp_path: Path
) -> None:
    settings = SelfTeacher(weights="average", decay=0.75)
    tutor = settings.tutor(around(student))
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    before = tutor.lesson(episodes, tokens).logp()
    weight = next(student.model.parameters())
    start = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
    tutor.learned()
    tutor.save(tmp_path)
    again = settings.tutor(around(student))
    again.load(tmp_path)
    after = tutor.lesson(episodes, tokens).logp()
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(again.lesson(episodes, tokens).logp(), after)
    torch.testing.assert_close(weight.detach() - start, torch.ones_like(start))
    with pytest.raises(CheckpointError, match="another recipe"):
        again.load(tmp_path / "elsewhere")


def test_current_weights_are_the_students_own(student: LoadedModel, play: Player) -> None:
    tutor = SelfTeacher(hint="next_message").tutor(around(student))
    episodes = play(student)
    tokens = TokenTable.from_episodes(episodes)
    before = tutor.lesson(episodes, tokens).logp()
    with torch.no_grad():
        next(student.model.parameters()).mul_(1.5)
    assert np.abs(tutor.lesson(episodes, tokens).logp() - before).max() > 1e-4


def test_vocabularies_are_the_same_by_content(
    small_tokenizer: PreTrainedTokenizerFast, student: LoadedModel
) -> None:
    copy = PreTrainedTokenizerFast(tokenizer_object=small_tokenizer.backend_tokenizer)
    assert copy is not small_tokenizer
    teacher = LoadedModel(student.model, copy)
    ModelTeacher(path="there").tutor(with_model(around(student, exact=True), teacher))
