"""Tokens are shown as their run's own tokenizer writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import expect
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from agentgym.core.trace import Outcome
from agentgym.serving.viewer.credit import marks_of
from agentgym.serving.viewer.tokens import Decoder
from agentgym.store.lessons import Lesson
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import episode, make_run, served, turn


def keep_tokenizer(folder: Path) -> Tokenizer:
    """Keep a tokenizer of bytes with a run."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    (folder / "warm_start").mkdir()
    tokenizer.save(str(folder / "warm_start" / "tokenizer.json"))
    return tokenizer


def test_a_character_over_several_tokens_stands_with_the_last(root: Path) -> None:
    folder = make_run(root, "tiny", [])
    ids = np.array(keep_tokenizer(folder).encode("a<\u20ac").ids, np.int32)
    logprobs = np.array([-0.01, -0.2, -1.0, -3.0, np.nan], np.float32)
    mask = np.array([1, 1, 1, 1, 0], np.int8)
    said = turn("", "", completion_ids=ids, logprobs=logprobs, loss_mask=mask)
    shown = Decoder(folder).completion(said, None, "a1")
    assert [token.text for token in shown.tokens] == ["a", "<", "", "", "\u20ac"]
    assert [token.tones for token in shown.tokens] == ["t0 a1", "t2 a1", "t4 a1", "t5 a1", "t6 given"]
    assert shown.tokens[4].about == f"token {ids[4]}, not trained on"


def test_a_token_tells_what_training_used_of_it(root: Path) -> None:
    said = turn("", "go", loss_mask=np.array([0, 1], np.int8))
    once = replace(said, completion_ids=np.arange(3, dtype=np.int32), loss_mask=np.ones(3, np.int8))
    once = replace(once, logprobs=np.zeros(3, np.float32))
    made = episode("e", [said, once], Outcome.SUCCESS)
    lesson = Lesson(
        "e",
        0,
        np.array([0.5, -2.0], np.float32),
        np.array([0.5, -2.0, -1.0, 0.0], np.float32),
        np.array([1.03, 0.5, np.nan, 1.0], np.float32),
        np.array([False, True, False, False]),
    )
    marks, decoder = marks_of(made, lesson), Decoder(make_run(root, "tiny", [made]))
    shown = [
        token
        for one, (mark,) in zip(made.turns, marks, strict=True)
        for token in decoder.completion(one, mark, "").tokens
    ]
    assert [token.tones for token in shown] == [
        "t0 given", "t6 a2 r1", "t0 a-3 r-3 clipped", "t0 a-2 r-none", "t0 a0 r0",
    ]  # fmt: skip
    assert shown[2].about.endswith(", advantage -2.0000, ratio 0.5000, clipped")
    assert shown[3].about.endswith(", advantage -1.0000, not computed")


def test_a_page_shows_the_tokens_and_a_broken_tokenizer_does_no_harm(tab: Tab, root: Path) -> None:
    made = episode("e", [turn("", "go", logprobs=np.array([-0.1, -2.0], np.float32))], Outcome.FAILURE)
    folder = make_run(root, "tiny", [made])
    keep_tokenizer(folder)
    with served(root) as viewer:
        page = tab.open(viewer, "/runs/tiny/tiny/episodes/e")
        assert page.locator(".done > .output .tokens span").count() == 2
        (folder / "warm_start" / "tokenizer.json").write_text("{")
        page.reload()
        expect(page.locator(".done > .output")).to_have_text("go")
        expect(page.get_by_text("2 token ids; the run keeps no tokenizer")).to_be_visible()
