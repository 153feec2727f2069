"""Calls become episodes: over real HTTP, with a scripted policy and real tokens."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Outcome, StopReason
from tests.serving.desk import PRESS, Http, Scripted, echo, press, read, serve


def text(episode: Episode, turn: int) -> str:
    return read(episode.turns[turn].prompt_ids.tolist())


def test_a_growing_conversation_is_one_row_in_one_session() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        first = (await http.chat("one", "a")).json()
        assert first["choices"][0]["message"]["content"] == "<a>"
        assert (await http.chat("one", "a", "<a>", "b")).status_code == 200
        assert (await http.chat("one", "a", "<a>", "b", "<b>", "c")).status_code == 200
        assert list(policy.sampled.values()) == [3]
        answer = await http.reward("one", 0.75)
        assert answer.json() == {"done": True, "outcome": "success", "score": 0.75, "turns": 3}
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert (episode.id, episode.group_id, episode.task.id) == ("one/1", "one", "one")
    assert (episode.outcome, episode.score, episode.stop_reason) == (
        Outcome.SUCCESS,
        0.75,
        StopReason.COMPLETED,
    )
    assert [turn.reward for turn in episode.turns] == [0, 0, 0.75]
    assert [turn.terminated for turn in episode.turns] == [False, False, True]
    assert [turn.observation for turn in episode.turns] == ["a", "b", "c"]
    assert [turn.action for turn in episode.turns] == ["<a>", "<b>", "<c>"]
    assert text(episode, 1) == "<|user|>b<|end|><|assistant|>"
    length = 0
    for turn in episode.turns:
        assert turn.prompt_start == length
        assert turn.loss_mask.all()
        length += len(turn.prompt_ids) + len(turn.completion_ids)


def test_tool_results_are_the_observation_of_the_next_turn() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        ask = [{"role": "system", "content": "Act."}, {"role": "user", "content": "Press red."}]
        path = "/rollout/one/attempt/1/v1/chat/completions"
        body: dict[str, Any] = {"model": "policy", "messages": ask, "tools": [PRESS]}
        choice = (await http.post(path, body)).json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        (call,) = choice["message"]["tool_calls"]
        assert call["function"] == {"name": "press", "arguments": '{"colour": "red"}'}
        result = {"role": "tool", "tool_call_id": call["id"], "content": "It lights up."}
        again = {**body, "messages": [*ask, {"role": "assistant", "tool_calls": [call]}, result]}
        assert (await http.post(path, again)).json()["choices"][0]["message"]["content"] == "Done."
        assert list(policy.sampled.values()) == [2]
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    episode = serve(lambda request: press("red") if len(request.messages) == 2 else "Done.", use)
    first, second = episode.turns
    assert first.observation == "Act.\nPress red."
    assert isinstance(first.action, ToolCall)
    assert (first.action.name, first.action.arguments) == ("press", {"colour": "red"})
    assert second.observation == "It lights up."
    assert second.prompt_start == len(first.prompt_ids) + len(first.completion_ids)
    assert text(episode, 1) == "<|tool|>It lights up.<|end|><|assistant|>"


def test_tool_results_go_out_under_the_ids_that_the_policy_gave() -> None:
    both = press("red") + "\n" + press("blue")
    sent: list[Any] = []

    async def use(http: Http, policy: Scripted) -> None:
        path = "/rollout/one/attempt/1/v1/chat/completions"
        ask = {"role": "user", "content": "Press both."}
        body: dict[str, Any] = {"model": "policy", "messages": [ask], "tools": [PRESS]}
        said = (await http.post(path, body)).json()["choices"][0]["message"]
        sent.extend(call["id"] for call in said["tool_calls"])
        own = [{**call, "id": f"mine-{n}"} for n, call in enumerate(said["tool_calls"])]
        results = [
            {"role": "tool", "tool_call_id": f"mine-{n}", "content": f"Result {n}."}
            for n in reversed(range(2))
        ]
        body["messages"] = [ask, {**said, "tool_calls": own}, *results]
        assert (await http.post(path, body)).status_code == 200
        messages = policy.requests[-1].messages
        assert [call.id for call in messages[1].tool_calls] == sent
        assert [message.tool_call_id for message in messages[2:]] == sent[::-1]

    serve(lambda request: both if len(request.messages) == 1 else "Done.", use)
    assert len(set(sent)) == 2


def test_a_changed_history_is_a_branch_that_shares_what_it_can() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a long beginning", "<a long beginning>", "b")
        await http.chat("one", "a long beginning", "something else", "b")
        assert len(policy.sampled) == 2
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    first, second = serve(echo, use).turns
    context = [*first.prompt_ids, *first.completion_ids]
    assert 0 < second.prompt_start < len(first.prompt_ids)
    assert read(context[: second.prompt_start]).startswith("<|user|>a long beginning")
    whole = read([*context[: second.prompt_start], *second.prompt_ids])
    assert (
        whole
        == "<|user|>a long beginning<|end|><|assistant|>something else<|end|><|user|>b<|end|><|assistant|>"
    )


def test_parallel_calls_after_one_answer_branch_with_its_sampled_ids() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "plan")
        beginning = ("plan", "<plan>")
        await asyncio.gather(*(http.chat("one", *beginning, f"part {n}") for n in range(3)))
        assert len(policy.sampled) == 3
        assert sorted(policy.recited.values()) == [1, 1], "two sessions recite the plan, one goes on from it"
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    shared = len(episode.turns[0].prompt_ids) + len(episode.turns[0].completion_ids)
    assert all(turn.prompt_start >= shared for turn in episode.turns[1:])


def test_a_rollout_counts_once_whatever_its_branches() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await asyncio.gather(*(http.chat("one", f"agent {n}") for n in range(4)))
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert len(episode.turns) == 4
    assert episode.score == sum(turn.reward for turn in episode.turns) == 1
    assert [turn.terminated for turn in episode.turns] == [False, False, False, True]


def test_attempts_of_a_rollout_are_a_group_and_rewards_add_up() -> None:
    async def use(http: Http, policy: Scripted) -> list[Episode]:
        for attempt in (1, 2):
            await http.chat("one", "a", attempt=attempt)
            early = await http.reward("one", 0.25, attempt=attempt, done=False)
            assert early.json() == {"done": False}
            await http.chat("one", "a", "<a>", "b", attempt=attempt)
            await http.reward("one", attempt - 1, success=False, attempt=attempt)
        return [await http.gateway.episode("one", attempt) for attempt in (1, 2)]

    first, second = serve(echo, use)
    assert (first.id, second.id, first.group_id, second.group_id) == ("one/1", "one/2", "one", "one")
    assert ([turn.reward for turn in first.turns], first.score) == ([0.25, 0.0], 0.25)
    assert ([turn.reward for turn in second.turns], second.score) == ([0.25, 1.0], 1.25)
    assert {first.outcome, second.outcome} == {Outcome.FAILURE}
    assert first.turns[0].state_key == second.turns[0].state_key != first.turns[1].state_key
    assert first.seed != second.seed


def test_an_attempt_can_be_begun_with_its_task_and_group() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        task = {"id": "red", "env_id": "test/Buttons-v0", "split": "select", "params": {"colour": "red"}}
        begun = await http.post("/rollout/one/attempt/3", {"task": task, "group": "buttons", "seed": 5})
        assert (begun.status_code, begun.json()["base_path"]) == (201, "/rollout/one/attempt/3/v1")
        again = await http.post("/rollout/one/attempt/3", {})
        assert again.status_code == 409
        assert "under way already" in again.json()["error"]["message"]
        await http.chat("one", "a", attempt=3)
        await http.reward("one", 0, attempt=3)
        assert (await http.post("/rollout/one/attempt/3", {})).status_code == 409
        assert (await http.post("/rollout/one/attempt/4")).status_code == 201
        return await http.gateway.episode("one", 3)

    episode = serve(echo, use)
    assert (episode.task.id, episode.task.split.value, episode.group_id, episode.seed) == (
        "red",
        "select",
        "buttons",
        5,
    )
    assert episode.outcome is Outcome.FAILURE


def test_what_is_sampled_depends_on_rollout_and_conversation_alone() -> None:
    async def seeds(http: Http, policy: Scripted) -> dict[str, int]:
        await asyncio.gather(*(http.chat("one", "plan", "<plan>", f"part {n}") for n in order))
        await http.reward("one", 1)
        return {request.messages[-1].content: request.seed for request in policy.requests}

    order = [0, 1, 2]
    one = serve(echo, seeds)
    order = [2, 0, 1]
    assert serve(echo, seeds) == one
    assert len(set(one.values())) == 3


def test_rollouts_are_sampled_as_the_trainer_expects_and_loose_calls_as_the_client_wants() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        await http.chat("one", "a", temperature=0, top_p=0.5, max_tokens=7, seed=3)
        body = {
            "model": "policy",
            "messages": [{"role": "user", "content": "a"}],
            "temperature": 0,
            "max_tokens": 7,
        }
        await http.post("/v1/chat/completions", body)
        rollout, loose = (request.sampling for request in policy.requests)
        assert (rollout.temperature, rollout.top_p, rollout.max_tokens) == (1.0, 1.0, 7)
        assert (loose.temperature, loose.max_tokens) == (0.0, 7)

    serve(echo, use)


def test_loose_calls_go_on_in_their_session_and_make_no_episode() -> None:
    episodes: list[Episode] = []

    async def use(http: Http, policy: Scripted) -> None:
        async def ask(*texts: str) -> None:
            roles = ("user", "assistant")
            messages = [{"role": roles[n % 2], "content": one} for n, one in enumerate(texts)]
            answer = await http.post("/v1/chat/completions", {"model": "policy", "messages": messages})
            assert answer.status_code == 200

        await ask("a")
        await ask("a", "<a>", "b")
        assert list(policy.sampled.values()) == [2]
        for n in range(100):
            await ask(f"other {n}")
        assert len(policy.sessions) == 64, "only the latest are remembered"
        for _ in range(100):
            await ask("other 36")
        assert len(policy.sessions) == 64, "equal conversations leave one session"
        for n in range(63):
            await ask(f"another {n}")
        await ask("other 36", "<other 36>", "c")
        assert policy.sampled[policy.requests[-1].session_id] == 2, "asked again, it counts as the latest"

    serve(echo, use, on_episode=episodes.append)
    assert episodes == []


def test_token_ids_and_logprobs_are_shown_to_those_who_ask() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = (await http.chat("one", "a", logprobs=True, return_token_ids=True)).json()
        (choice,) = answer["choices"]
        assert read(answer["prompt_token_ids"]) == "<|user|>a<|end|><|assistant|>"
        assert read(choice["token_ids"]) == "<a><|end|>"
        assert [entry["token"] for entry in choice["logprobs"]["content"]] == [
            f"token_id:{token}" for token in choice["token_ids"]
        ]
        assert answer["usage"]["completion_tokens"] == len(choice["token_ids"])
        await http.reward("one", 1)
        (turn,) = (await http.gateway.episode("one")).turns
        np.testing.assert_array_equal(turn.prompt_ids, answer["prompt_token_ids"])
        np.testing.assert_array_equal(turn.completion_ids, choice["token_ids"])

    serve(echo, use)
