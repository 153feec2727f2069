from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.policies.rendering import ChatRenderer, Context, Exchange
from agentgym.policies.tokenizer import CHAT_TEMPLATE, train_tokenizer
from agentgym.policies.tool_calls import parse_answer

TOKENIZER = train_tokenizer(["go to cabinet 3", "take mug 1"] * 4, 320)

TRIMMING = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FORGETFUL = (  # drops the thinking of earlier turns
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


HERMES = (
    "{% if tools %}<|system|>Tools: {{ tools | tojson }}<|end|>\n{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}"
    """{{ '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}"""
    "{{ call.function.arguments | tojson + '}\n</tool_call>' }}{% endfor %}"
    "<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
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


TOOLS = [ToolSpec("look", "Look at something.")]
STRANGELY_WRITTEN = (
    'Hm. <tool_call> {"name"  : "look",\n"arguments": {"at":"mug 1" , "n": 1.0}}\t</tool_call> '
)

words = st.text("ab <>\n", max_size=4)
arguments = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)


@st.composite
def sampled_answers(draw: st.DrawFn) -> str:
    """What a model may write: calls with white space of its own, broken calls, words around them."""
    text = draw(words)
    for _ in range(draw(st.integers(0, 2))):
        body = json.dumps(
            {"name": "look", "arguments": draw(arguments)}, indent=draw(st.none() | st.integers(0, 2))
        )
        end = draw(st.sampled_from(["</tool_call>", "\n</tool_call>", ""]))
        text += f"<tool_call>{draw(st.sampled_from(['', ' ', chr(10)]))}{body}{end}{draw(words)}"
    return text


def through_a_client(message: Message) -> Message:
    """What comes back of a message that a client was sent, kept and sends again."""
    return Message.from_openai(json.loads(json.dumps(message.to_openai())))


class Sampler:
    """Takes given answers for what a model sampled, character by character, and keeps the ids."""

    def __init__(self, renderer: ChatRenderer) -> None:
        self.renderer = renderer
        self.ids: list[int] = []
        self.previous: Exchange | None = None

    def answer(
        self, messages: Sequence[Message], text: str, *, ended: bool = True
    ) -> tuple[Context, Message]:
        context = self.renderer.context(messages, TOOLS, self.previous)
        sampled = [token for character in text for token in self.renderer.encode(character)]
        sampled += self.renderer.encode("<|end|>") if ended else []
        self.ids = [*self.ids[: context.prompt_start], *context.prompt_ids, *sampled]
        message = parse_answer(text, str(len(self.ids)))
        finish = FinishReason.STOP if ended else FinishReason.LENGTH
        completion = Completion(text, finish, version=0, message=message)
        self.previous = context.answered(messages, self.ids, completion)
        return context, message


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, HERMES])
@given(turns=st.lists(st.tuples(sampled_answers(), st.booleans()), min_size=1, max_size=4))
def test_conversations_with_calls_go_on_from_the_sampled_ids(
    template: str, turns: list[tuple[str, bool]]
) -> None:
    sampler = Sampler(renderer_with(template))
    messages, before = [*OPENING], list[int]()
    for text, ended in turns:
        context, said = sampler.answer(messages, text, ended=ended)
        assert context.prompt_start == len(before)
        before = sampler.ids
        results = [Message("tool", "a mug 1", (), call.id) for call in said.tool_calls]
        messages = [*messages, through_a_client(said), *(results or [Message("user", "Go on.")])]
    after = sampler.renderer.decode(sampler.renderer.context(messages, TOOLS, sampler.previous).prompt_ids)
    assert after.lstrip().removeprefix("<|end|>").lstrip().startswith(("<|tool|>", "<|user|>"))


def test_earlier_calls_stay_as_they_were_sampled_when_a_window_moves() -> None:
    sampler = Sampler(ChatRenderer(TOKENIZER))
    _, first = sampler.answer(OPENING, STRANGELY_WRITTEN)
    found = Message("tool", "a mug 1", (), first.tool_calls[0].id)
    _, second = sampler.answer([*OPENING, first, found], "It is a mug.")
    context, _ = sampler.answer([OPENING[1], first, found, second, Message("user", "Go on.")], "go")
    assert STRANGELY_WRITTEN in context.text
    assert sampler.renderer.decode(context.prompt_ids).endswith("<|user|>Go on.<|end|><|assistant|>")
    assert context.prompt_start < len(sampler.renderer.encode(context.text))


def edited(message: Message, **changes: Any) -> Message:
    (call,) = message.tool_calls
    return replace(message, tool_calls=(replace(call, **changes),))


EDITS: list[Callable[[Message], Message]] = [
    lambda said: edited(said, arguments={"at": "mug 2", "n": 1}),
    lambda said: edited(said, name="see"),
    lambda said: edited(said, id="call_mine"),
    lambda said: replace(said, content="Hm!"),
    lambda said: replace(said, tool_calls=()),
    lambda said: replace(said, tool_calls=said.tool_calls * 2),
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_call_is_rendered_anew(edit: Callable[[Message], Message]) -> None:
    sampler = Sampler(ChatRenderer(TOKENIZER))
    _, said = sampler.answer(OPENING, STRANGELY_WRITTEN)
    before = sampler.ids
    messages = [*OPENING, edit(said), Message("tool", "a mug 1", (), "1")]
    context = sampler.renderer.context(messages, TOOLS, sampler.previous)
    fresh = sampler.renderer.encode(sampler.renderer.render(messages, TOOLS))
    assert [*before[: context.prompt_start], *context.prompt_ids] == fresh
    assert STRANGELY_WRITTEN not in context.text
    assert context.prompt_start >= len(sampler.renderer.encode(sampler.renderer.render(OPENING, TOOLS)))


@pytest.mark.parametrize(
    "template",
    [
        TRIMMING,  # knows no tools
        HERMES.replace("<tool_call>", "<function>"),
        HERMES.replace("{{ tools | tojson }}", ""),
        HERMES.replace(
            "{% for m in", "{% if tools %}{{ raise_exception('no tools') }}{% endif %}{% for m in"
        ),
    ],
)
def test_a_template_without_such_calls_is_refused_where_tools_are_offered(template: str) -> None:
    renderer = renderer_with(template)
    assert renderer.context(OPENING, (), None).prompt_ids
    with pytest.raises(ConfigError, match="chat template cannot offer tools"):
        renderer.context(OPENING, TOOLS, None)


def test_a_template_that_refuses_a_conversation_is_the_settings_fault() -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    renderer = renderer_with(refusing + TRIMMING)
    assert renderer.context([Message("user", "Go.")], (), None).prompt_ids
    with pytest.raises(ConfigError, match=r"refuses a conversation of system, user .*no system role"):
        renderer.context([Message("system", "Act."), Message("user", "Go.")], (), None)
