"""From messages to token ids, without ever tokenising again what was sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation, FinishReason
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.policies.tokenizer import CHAT_TEMPLATE, render_plain
from agentgym.policies.tool_calls import parse_answer


class Spoken(NamedTuple):
    """An answer that calls tools."""

    message: Message
    """As it was parsed."""
    text: str
    """As it was sampled."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The last request of a conversation and what was sampled for it."""

    messages: tuple[Message, ...]
    text: str
    """The rendered context, the opening of the assistant's turn included."""
    ids: Sequence[int]
    """The ids of the context and of the completion."""
    answer: str
    """The completion as text, without the end-of-turn token."""
    ended: bool
    """Whether the completion's last id ends the turn."""
    spoken: Mapping[str, Spoken] = field(default_factory=dict[str, Spoken])
    """The conversation's answers that call tools, by the id of their first call."""


class Context(NamedTuple):
    """What the next completion is sampled in: `previous.ids[:prompt_start] + prompt_ids`."""

    text: str
    prompt_start: int
    prompt_ids: list[int]
    spoken: Mapping[str, Spoken]
    """Of the exchanges before."""

    def answered(self, messages: Sequence[Message], ids: Sequence[int], completion: Completion) -> Exchange:
        """Return the exchange of `messages`, the request, and its completion; `ids` are those of both."""
        spoken = self.spoken
        if completion.tool_calls:
            answer = Spoken(completion.as_message(), completion.text)
            spoken = {**spoken, completion.tool_calls[0].id: answer}
        ended = completion.finish_reason is FinishReason.STOP
        return Exchange(tuple(messages), self.text, ids, completion.text, ended, spoken)


class ChatRenderer:
    """Renders conversations with the tokenizer's chat template, a growing one by its new text alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Any = tokenizer
        self._plain = self._tokenizer.chat_template == CHAT_TEMPLATE
        self._fast: Any = None
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            # The library's own layer costs several times the encoding of a short text.
            self._fast = tokenizer.backend_tokenizer
            self._fast.no_truncation()
            self._fast.no_padding()

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> str:
        """Return the conversation as text, up to where the assistant's next answer begins.

        Raises `ConfigError` where the tokenizer's template refuses it.
        """
        if any(message.images for message in messages):
            raise ConfigError(
                "This policy reads text alone, and is shown pictures; make the environment without them (such as "
                "`screenshots=False`), or play it with a model behind a URL."
            )
        if self._plain:
            return render_plain(messages, tools)
        if tools and not self._writes_calls:
            raise ConfigError(
                "This tokenizer's chat template cannot offer tools, or does not write calls as "
                '<tool_call>{"name": ..., "arguments": {...}}</tool_call>; use a model with a template like that of '
                "Qwen or Hermes, or an agent that acts in plain text."
            )
        try:
            return self._apply(messages, tools)
        except TemplateError as error:
            roles = ", ".join(message.role for message in messages[:4])
            raise ConfigError(
                f"The tokenizer's chat template refuses a conversation of {roles} ...: {error}. Leave the system "
                'prompt out (`agent.system_prompt = ""`), or use a model with another template.'
            ) from error

    def _apply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        return self._tokenizer.apply_chat_template(
            [as_template_message(message) for message in messages],
            tools=[tool.to_openai() for tool in tools] or None,
            add_generation_prompt=True,
            tokenize=False,
        )

    @cached_property
    def _writes_calls(self) -> bool:
        """Whether the template shows tools, and writes calls as they are parsed."""
        call = ToolCall("probe", {"depth": 1})
        asked = [Message("user", "?"), Message("assistant", "", (call,)), Message("tool", "!")]
        try:
            text = self._apply(asked, [ToolSpec("probe", "Probes the template.")])
        except (TemplateError, TypeError, ValueError, LookupError):  # templates raise what they like
            return False
        calls = [(found.name, found.arguments) for found in parse_answer(text, "").tool_calls]
        return "Probes the template." in text and (call.name, call.arguments) in calls

    def encode(self, text: str) -> list[int]:
        """Return the ids of rendered text; special tokens in it become their ids."""
        if self._fast is not None:
            return self._fast.encode(text, add_special_tokens=False).ids
        return self._tokenizer.encode(text, add_special_tokens=False)

    def dictated_ids(self, answer: Dictation) -> list[int]:
        """Return the ids of an answer given beforehand, with the end of the turn after a text."""
        if isinstance(answer, str):
            return [*self.encode(answer), int(self._tokenizer.eos_token_id)]
        return list(answer)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""
        if self._fast is not None:
            return self._fast.decode(ids, skip_special_tokens=False)
        return self._tokenizer.decode(ids, skip_special_tokens=False)

    def context(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], previous: Exchange | None
    ) -> Context:
        """Return the context for the next answer of a conversation.

        Where `messages` are those of the previous request, its answer and more, the sampled ids stay as
        they are and only what the template puts after them is encoded. Otherwise (a window, a summary, a
        template that edits earlier turns) everything is encoded anew and as long a prefix as possible
        is shared. Answers that call tools are rendered as they were sampled, whatever the template would have
        made of the calls.
        """
        if previous is None:
            text = self.render(messages, tools)
            return Context(text, 0, self.encode(text), {})
        spoken = previous.spoken
        if spoken:
            messages = [_as_spoken(message, spoken) for message in messages]
        text = self.render(messages, tools)
        addition = self._addition(text, messages, previous)
        if addition is not None:
            return Context(text, len(previous.ids), self.encode(addition), spoken)
        ids = self.encode(text)
        shared = _common_prefix(previous.ids, ids)
        return Context(text, shared, ids[shared:], spoken)

    def _addition(self, text: str, messages: Sequence[Message], previous: Exchange) -> str | None:
        """Return the text that follows the sampled ids, or None where this is not a continuation of them."""
        asked = len(previous.messages)
        if len(messages) <= asked or messages[asked].role != "assistant" or messages[asked].tool_calls:
            return None
        if messages[asked].content.strip() != previous.answer.strip():
            return None
        for answer in (previous.answer, previous.answer.strip()):  # some templates strip
            if text.startswith(previous.text + answer):
                rest = text[len(previous.text) + len(answer) :]
                if not previous.ended:
                    return rest
                end = self.decode(previous.ids[-1:])
                return rest.lstrip().removeprefix(end) if rest.lstrip().startswith(end) else rest
        return None


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))


def _as_spoken(message: Message, spoken: Mapping[str, Spoken]) -> Message:
    """Return an answer with tool calls as the text that was sampled, where it comes back as it was parsed."""
    answer = spoken.get(message.tool_calls[0].id) if message.tool_calls else None
    if answer is None or message.tool_calls != answer.message.tool_calls:
        return message
    return Message("assistant", answer.text) if message.content.strip() == answer.message.content else message


def as_template_message(message: Message) -> dict[str, Any]:
    """Return a message as transformers' chat templates take it: OpenAI's shape, but arguments as data, not JSON."""
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        data["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        data["tool_call_id"] = message.tool_call_id
    return data
