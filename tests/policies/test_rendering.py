from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from agentgym.core.message import Message
from agentgym.core.tool import ToolCall
from agentgym.policies.rendering import ChatRenderer, Exchange
from agentgym.policies.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["go to cabinet 3", "take mug 1"] * 4, 320)

TRIMMING = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FORGETFUL = (  # drops the thinking of earlier turns
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def renderer_with(template: str) -> ChatRenderer:
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = template
    return ChatRenderer(tokenizer)


def exchange(
    renderer: ChatRenderer, messages: Sequence[Message], sampled: str, *, ended: bool = True
) -> Exchange:
    """Pretend that the model answered with the single characters of `sampled`, unlike the tokenizer would."""
    ids = renderer.encode(renderer.render(messages))
    for character in sampled:
        ids += renderer.encode(character)
    if ended:
        ids += renderer.encode("<|end|>")
    return Exchange(tuple(messages), renderer.render(messages), ids, sampled, ended)


OPENING = (Message("system", "Act."), Message("user", "You see a mug 1."))


def test_first_request_is_the_whole_conversation() -> None:
    renderer = ChatRenderer(TOKENIZER)
    context = renderer.context(OPENING, (), None)
    assert context.prompt_start == 0
    assert renderer.decode(context.prompt_ids) == (
        "<|system|>Act.<|end|><|user|>You see a mug 1.<|end|><|assistant|>"
    )


@pytest.mark.parametrize("ended", [True, False])
def test_sampled_ids_stay_and_only_new_text_is_encoded(ended: bool) -> None:
    renderer = ChatRenderer(TOKENIZER)
    before = exchange(renderer, OPENING, "go to cabinet", ended=ended)
    messages = [*OPENING, Message("assistant", "go to cabinet"), Message("user", "Nothing happens.")]
    context = renderer.context(messages, (), before)
    assert context.prompt_start == len(before.ids)
    expected = "<|user|>Nothing happens.<|end|><|assistant|>"
    assert renderer.decode(context.prompt_ids) == (expected if ended else "<|end|>" + expected)


@given(st.lists(st.tuples(st.text(), st.text(), st.booleans()), min_size=1, max_size=4))
def test_whatever_is_said_the_context_reads_as_the_template(turns: list[tuple[str, str, bool]]) -> None:
    renderer = ChatRenderer(TOKENIZER)
    messages = [*OPENING]
    ids: list[int] = []
    previous: Exchange | None = None
    for answer, observation, ended in turns:
        context = renderer.context(messages, (), previous)
        ids = [*ids[: context.prompt_start], *context.prompt_ids]
        if "<|" not in answer + observation:
            assert renderer.decode(ids).endswith(context.text[-40:])
            assert renderer.decode(ids) == renderer.render(messages)
        ids += renderer.encode(answer) + (renderer.encode("<|end|>") if ended else [])
        previous = Exchange(tuple(messages), context.text, ids, answer, ended)
        messages = [*messages, Message("assistant", answer), Message("user", observation)]


def test_a_window_is_rendered_anew_and_shares_the_common_prefix() -> None:
    renderer = ChatRenderer(TOKENIZER)
    before = exchange(renderer, [*OPENING, Message("assistant", "a"), Message("user", "b")], "go")
    window = [*OPENING, Message("assistant", "go"), Message("user", "c")]
    context = renderer.context(window, (), before)
    full = renderer.encode(renderer.render(window))
    assert [*before.ids[: context.prompt_start], *context.prompt_ids] == full
    assert context.prompt_start >= len(renderer.encode(renderer.render(OPENING)))
    assert before.ids[context.prompt_start] != full[context.prompt_start]


def test_asking_again_does_not_take_the_answer_for_said() -> None:
    renderer = ChatRenderer(TOKENIZER)
    before = exchange(renderer, OPENING, "")
    context = renderer.context(OPENING, (), before)
    assert [*before.ids[: context.prompt_start], *context.prompt_ids] == renderer.encode(
        renderer.render(OPENING)
    )


@pytest.mark.parametrize(
    "said",
    [
        Message("assistant", "go north"),  # the answer was edited
        Message("assistant", "go", (ToolCall("look", {}),)),
        Message("user", "go"),
    ],
)
def test_an_edited_answer_is_rendered_anew(said: Message) -> None:
    renderer = ChatRenderer(TOKENIZER)
    before = exchange(renderer, OPENING, "go")
    messages = [*OPENING, said, Message("user", "x")]
    context = renderer.context(messages, (), before)
    assert [*before.ids[: context.prompt_start], *context.prompt_ids] == renderer.encode(
        renderer.render(messages)
    )


def test_a_template_that_trims_keeps_the_sampled_ids() -> None:
    renderer = renderer_with(TRIMMING)
    before = exchange(renderer, OPENING, " go ")
    messages = [*OPENING, Message("assistant", " go "), Message("user", "x")]
    context = renderer.context(messages, (), before)
    assert context.prompt_start == len(before.ids)
    assert renderer.decode(context.prompt_ids) == "\n<|user|>x<|end|>\n<|assistant|>"


def test_a_template_that_edits_earlier_turns_is_rendered_anew() -> None:
    renderer = renderer_with(FORGETFUL)
    answer = "<think>where?</think>go"
    before = exchange(renderer, OPENING, answer)
    messages = [*OPENING, Message("assistant", answer), Message("user", "x")]
    context = renderer.context(messages, (), before)
    ids = [*before.ids[: context.prompt_start], *context.prompt_ids]
    assert ids == renderer.encode(renderer.render(messages))
    assert "where?" not in renderer.decode(ids)
    assert context.prompt_start == len(renderer.encode(renderer.render(OPENING)))


def test_a_template_without_plain_rendering_grows_alike() -> None:
    slow = renderer_with(TRIMMING.replace(" | trim", ""))
    before = exchange(slow, OPENING, "go")
    context = slow.context([*OPENING, Message("assistant", "go"), Message("user", "x")], (), before)
    assert context.prompt_start == len(before.ids)


def test_tokenizers_written_in_python_work_too() -> None:
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    renderer = ChatRenderer(tokenizer)
    before = exchange(renderer, OPENING, "go", ended=False)
    messages = [*OPENING, Message("assistant", "go"), Message("user", "x")]
    context = renderer.context(messages, (), before)
    ids = [*before.ids[: context.prompt_start], *context.prompt_ids]
    assert renderer.decode(ids) == "Act.</s>You see a mug 1.</s>go</s>x</s>"
    assert context.prompt_start == len(before.ids)
