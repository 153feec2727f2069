"""A small byte-level BPE tokenizer of our own, with a compact chat template.

It is an ordinary Hugging Face tokenizer directory when saved. Words and numbers are kept apart and carry
their leading space, so text-game names such as "cabinet 3" become " cabinet" + " 3".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from agentgym.core.errors import CheckpointError, ConfigError
from agentgym.core.message import Message
from agentgym.core.tool import ToolSpec
from agentgym.policies.tool_calls import write_call

END_OF_TURN = "<|end|>"
PADDING = "<|pad|>"
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
SPECIAL_TOKENS = (PADDING, END_OF_TURN, *_ROLES)

MIN_VOCAB_SIZE = len(SPECIAL_TOKENS) + 256
"""Special tokens and one token for each byte, so that every text can be written."""

# Each message opens with its role and closes with the end-of-turn token: a longer conversation always
# starts with the text of the shorter one. Calls are written as `agentgym.policies.tool_calls` reads them. Tools are
# offered in a line each, as `write_tool` has it: their JSON is several times as long, and a small model has to learn to
# look past all that stands before what it copies from.
CHAT_TEMPLATE = (
    "{% if tools %}{{ '<|tool|>' }}"
    "{% for tool in tools %}"
    "{% set arguments = tool.function.parameters.properties %}"
    "{{ tool.function.name + '(' + (arguments if arguments is mapping else {}) | join(', ') + ') ' }}"
    "{{ tool.function.description + '\n' }}"
    "{% endfor %}"
    "{{ '<|end|>' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message.role + '|>' + message.content }}"
    "{% for call in message.tool_calls or [] %}"
    """{{ '<tool_call>{"name": ' + call.function.name | tojson }}"""
    """{{ ', "arguments": ' + call.function.arguments | tojson + '}</tool_call>' }}"""
    "{% endfor %}"
    "{{ '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def render_plain(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> str:
    """Return what `CHAT_TEMPLATE` makes of a conversation, some twenty times faster.

    >>> render_plain([Message("user", "Look.")])
    '<|user|>Look.<|end|><|assistant|>'
    """
    offered = f"<|tool|>{''.join(map(write_tool, tools))}<|end|>" if tools else ""
    said = [
        f"<|{message.role}|>{message.content}{_calls(message) if message.tool_calls else ''}<|end|>"
        for message in messages
    ]
    return f"{offered}{''.join(said)}<|assistant|>"


def write_tool(tool: ToolSpec) -> str:
    """Return the line that offers a tool: its name, the names of its arguments, and what it does.

    >>> write_tool(ToolSpec("look", "Look at a thing.", {"type": "object", "properties": {"at": {"type": "string"}}}))
    'look(at) Look at a thing.\\n'
    """
    arguments = tool.input_schema.get("properties")
    names: list[str] = list(arguments) if isinstance(arguments, Mapping) else []  # pyright: ignore[reportUnknownArgumentType]
    return f"{tool.name}({', '.join(names)}) {tool.description}\n"


def _calls(message: Message) -> str:
    return "".join(map(write_call, message.tool_calls))


_PIECES = r" ?\p{{L}}+| ?\p{{N}}{numbers}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"


def train_tokenizer(
    texts: Iterable[str], vocab_size: int = 1024, *, single_digits: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on `texts`; the same texts give the same tokenizer.

    With `single_digits` every digit is a token, as Qwen and Llama 2 have it: a number that was never seen can be
    copied then. Otherwise frequent numbers become one token.

    The vocabulary is smaller than `vocab_size` where the texts hold no more pairs to merge. Raises
    `ConfigError` for a `vocab_size` under `MIN_VOCAB_SIZE`.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise ConfigError(
            f"vocab_size must be at least {MIN_VOCAB_SIZE} (256 bytes and {len(SPECIAL_TOKENS)} special "
            f"tokens), got {vocab_size}."
        )
    pieces = _PIECES.format(numbers="" if single_digits else "+")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        additional_special_tokens=list(_ROLES),
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a directory or hub name.

    Raises `CheckpointError` where there is none, or where it has no chat template or end-of-turn token.
    """
    try:
        auto: Any = AutoTokenizer
        tokenizer: PreTrainedTokenizerFast = auto.from_pretrained(str(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No tokenizer could be loaded from {str(path)!r}: {error}") from error
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"The tokenizer of {str(path)!r} has no chat template; use an instruction-tuned model, or set "
            "`tokenizer.chat_template`."
        )
    if tokenizer.eos_token_id is None:
        raise CheckpointError(f"The tokenizer of {str(path)!r} has no eos_token to end a turn with.")
    return tokenizer
