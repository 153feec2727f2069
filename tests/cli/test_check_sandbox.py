"""`agentgym check sandbox`: attacks from the command line."""

from __future__ import annotations

from tests.cli.driver import Cli


def test_attacks_are_shown_with_what_foiled_them(cli: Cli) -> None:
    done = cli("check", "sandbox", "process", "--only", "kernel.mount", "--only", "files.read")
    assert (done.code, done.err) == (0, "")
    assert "pass files.read " in done.out
    assert "Operation not permitted" in " ".join(done.out.split())
    assert "withstands all attacks" in done.out


def test_wrong_words_are_told(cli: Cli) -> None:
    for words, told in (
        (["sandbox", "proces"], "Did you mean 'process'"),
        (["sandbox", "process", "--only", "nothing"], "Unknown attack 'nothing'"),
        (["sandbox", "process", "--option", "a=1"], "leave --option out"),
        (["household", "docker"], "Only `check sandbox` takes a second word"),
    ):
        done = cli("check", *words)
        assert done.code == 2
        assert told in " ".join(done.err.split())
