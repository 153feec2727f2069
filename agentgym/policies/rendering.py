"""From messages to token ids, without ever tokenising again what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from agentgym.core.message import Message
from agentgym.core.policy import Dictation
from agentgym.core.tool import ToolSpec
from agentgym.policies.tokenizer import CHAT_TEMPLATE, render_plain


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


class Context(NamedTuple):
    """What the next completion is sampled in: `previous.ids[:prompt_start] + prompt_ids`."""

    text: str
    prompt_start: int
    prompt_ids: list[int]


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
        """Return the conversation as text, up to where the assistant's next answer begins."""
        if self._plain and not tools and not any(message.tool_calls for message in messages):
            return render_plain(messages)
        return self._tokenizer.apply_chat_template(
            [_as_template_message(message) for message in messages],
            tools=[tool.to_openai() for tool in tools] or None,
            add_generation_prompt=True,
            tokenize=False,
        )

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
        is shared.
        """
        text = self.render(messages, tools)
        if previous is None:
            return Context(text, 0, self.encode(text))
        addition = self._addition(text, messages, previous)
        if addition is not None:
            return Context(text, len(previous.ids), self.encode(addition))
        ids = self.encode(text)
        shared = _common_prefix(previous.ids, ids)
        return Context(text, shared, ids[shared:])

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


def _as_template_message(message: Message) -> dict[str, Any]:
    # Templates take the arguments of calls as data; OpenAI's wire format has them as JSON text.
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
