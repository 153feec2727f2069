from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from agentgym.core.errors import CheckpointError, ConfigError
from agentgym.core.message import Message, Role
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.policies.rendering import ChatRenderer, as_template_message
from agentgym.policies.tokenizer import (
    CHAT_TEMPLATE,
    END_OF_TURN,
    MIN_VOCAB_SIZE,
    load_tokenizer,
    render_plain,
    train_tokenizer,
)

TEXTS = ["go to cabinet 3", "take mug 1 from cabinet 3", "put mug 12 in drawer 2"] * 4
TOKENIZER = train_tokenizer(TEXTS, 330)

roles: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant", "tool"])
conversations = st.lists(st.builds(Message, roles, st.text()), min_size=1, max_size=5)
json_objects = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=3)
tool_calls = st.lists(st.builds(ToolCall, st.text(), json_objects, st.text()), max_size=3).map(tuple)
tool_conversations = st.lists(st.builds(Message, roles, st.text(), tool_calls), min_size=1, max_size=4)
tool_lists = st.lists(st.builds(ToolSpec, st.text(), st.text(), json_objects), max_size=2)
plain_text = st.text().filter(lambda text: "<|" not in text)


@given(plain_text)
def test_every_text_survives_the_round_trip(text: str) -> None:
    renderer = ChatRenderer(TOKENIZER)
    assert renderer.decode(renderer.encode(text)) == text


def by_template(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> str:
    own: Any = TOKENIZER
    return own.apply_chat_template(
        [as_template_message(message) for message in messages],
        tools=[tool.to_openai() for tool in tools] or None,
        add_generation_prompt=True,
        tokenize=False,
    )


@given(conversations)
def test_plain_rendering_is_the_template(messages: list[Message]) -> None:
    assert render_plain(messages) == by_template(messages)
    assert (
        render_plain(messages)
        == "".join(f"<|{m.role}|>{m.content}<|end|>" for m in messages) + "<|assistant|>"
    )


@given(tool_conversations, tool_lists)
def test_plain_rendering_is_the_template_with_tools_too(
    messages: list[Message], tools: list[ToolSpec]
) -> None:
    assert render_plain(messages, tools) == by_template(messages, tools)


@given(conversations, conversations)
def test_a_longer_conversation_starts_with_the_shorter(first: list[Message], more: list[Message]) -> None:
    renderer = ChatRenderer(TOKENIZER)
    answer = Message("assistant", "go")
    assert renderer.render([*first, answer, *more]).startswith(renderer.render(first) + "go" + END_OF_TURN)


def test_names_and_numbers_are_pieces_with_their_space() -> None:
    assert TOKENIZER.convert_ids_to_tokens(ChatRenderer(TOKENIZER).encode("go to cabinet 3")) == [
        "go",
        "Ġto",
        "Ġcabinet",
        "Ġ3",
    ]


def test_special_tokens_are_one_id_each() -> None:
    ids = ChatRenderer(TOKENIZER).encode("<|system|><|user|><|assistant|><|tool|><|end|><|pad|>")
    assert len(ids) == len(set(ids)) == 6


def test_tools_calls_and_results_are_rendered() -> None:
    call = ToolCall("search", {"query": "mug"}, "1")
    text = ChatRenderer(TOKENIZER).render(
        [Message("user", "find"), Message("assistant", "Well.", (call,)), Message("tool", "none", (), "1")],
        [ToolSpec("search", "Look something up.")],
    )
    assert text == (
        "<|tool|>search() Look something up.\n<|end|><|user|>find<|end|>"
        '<|assistant|>Well.<tool_call>{"name": "search", "arguments": {"query": "mug"}}</tool_call><|end|>'
        "<|tool|>none<|end|><|assistant|>"
    )


def test_the_same_texts_give_the_same_tokenizer() -> None:
    again = train_tokenizer(iter(TEXTS), 330)
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


def test_other_texts_give_another_tokenizer() -> None:
    other = train_tokenizer(["open fridge 1"] * 5, 330)
    assert other.backend_tokenizer.to_str() != TOKENIZER.backend_tokenizer.to_str()


def test_the_vocabulary_is_no_larger_than_asked() -> None:
    assert MIN_VOCAB_SIZE < len(train_tokenizer(TEXTS, 270)) <= 270
    assert len(train_tokenizer([], MIN_VOCAB_SIZE)) == MIN_VOCAB_SIZE


def test_a_vocabulary_without_room_for_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 262"):
        train_tokenizer(TEXTS, 100)


def test_saved_directory_is_an_ordinary_tokenizer(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(str(tmp_path))
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    assert (loaded.eos_token, loaded.pad_token) == (END_OF_TURN, "<|pad|>")
    assert loaded.chat_template == CHAT_TEMPLATE
    text = "<|user|>go to cabinet 3<|end|>"
    assert ChatRenderer(loaded).encode(text) == ChatRenderer(TOKENIZER).encode(text)


def test_missing_tokenizer_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No tokenizer could be loaded"):
        load_tokenizer(tmp_path)


def test_tokenizer_without_chat_template_is_refused(tmp_path: Path) -> None:
    plain = train_tokenizer(TEXTS, 330)
    plain.chat_template = None
    plain.save_pretrained(str(tmp_path))
    with pytest.raises(CheckpointError, match="no chat template"):
        load_tokenizer(tmp_path)


def test_single_digits_copy_numbers_never_seen() -> None:
    tokenizer = train_tokenizer(TEXTS, 330, single_digits=True)
    assert tokenizer.tokenize("mug 12907")[-5:] == ["Ġ1", "2", "9", "0", "7"]
    assert TOKENIZER.tokenize("mug 12")[-1] == "Ġ12"
