"""Skill directories, held against the standard's own validator."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skills_ref import validate  # pyright: ignore[reportMissingTypeStubs]
from skills_ref.parser import (  # pyright: ignore[reportMissingTypeStubs]
    parse_frontmatter,  # pyright: ignore[reportUnknownVariableType]
)

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem
from agentgym.memory.skills.document import check_name, front_of, read_document, write_document
from agentgym.memory.skills.folder import read_skill, read_skills, write_skill


def skill(
    name: str = "heat-food", body: str = "# Heat food\n\n1. Open the microwave.", **fields: Any
) -> MemoryItem:
    return MemoryItem(
        ItemKind.SKILL, name, fields.pop("key_text", "How to heat food: use when it is cold."), body, **fields
    )


TOOL = MemoryItem(
    ItemKind.TOOL,
    "count-plates",
    "Counts plates --- quickly: \"all\" of them \\ 'each' # not a comment",
    "---\nname: not-front-matter\n---\nUse it.\n\n",
    space="team/alice",
    env_id="agentgym/Household-v0",
    files={"scripts/tool.py": b"def run(args): ...\n", "tool.json": b"{}", "data/x.bin": b"\x00\xff"},
    meta={
        "license": "Apache-2.0",
        "allowed-tools": "Bash(ls:*)",
        "metadata": {"author": "someone: else", "---": "- -"},
    },
)

plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def write(folder: Path, text: str, name: str = "my-skill") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "SKILL.md").write_text(text, encoding="utf-8", newline="")
    return folder / name


@pytest.mark.parametrize("item", [skill(), TOOL], ids=lambda item: item.name)
def test_what_is_written_is_valid_and_comes_back(item: MemoryItem, tmp_path: Path) -> None:
    folder = write_skill(item, tmp_path, status="active")
    assert validate(folder) == []
    read = read_skill(folder, space=item.space)
    assert read.item == item
    assert (read.item.version, read.stated_version, read.edited, read.notes) == (
        item.version,
        item.version,
        False,
        [],
    )
    assert read_skill(folder).item.space == ""
    assert not read_skill(folder).edited


@given(plain.filter(str.strip), plain, st.dictionaries(plain.filter(str.strip), plain, max_size=3))
def test_any_text_survives_in_front_matter_and_body(
    description: str, body: str, metadata: dict[str, str]
) -> None:
    item = skill(body=body, key_text=description, meta={"metadata": metadata} if metadata else {})
    text = write_document(front_of(item), item.body)
    read = read_document(text)
    assert (read.front["description"], read.body) == (description, body)
    assert {key: read.front["metadata"][key] for key in metadata} == metadata
    theirs = cast("dict[str, Any]", parse_frontmatter(text)[0])  # the standard's own reader
    assert theirs["description"] == description
    assert {key: theirs["metadata"][key] for key in metadata} == metadata


def test_a_new_version_takes_the_place_of_one_of_ours(tmp_path: Path) -> None:
    write_skill(skill(files={"old.md": b""}), tmp_path)
    folder = write_skill(skill(body="Better."), tmp_path)
    assert read_skill(folder).item == skill(body="Better.")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["SKILL.md", "heat-food"]


def test_what_others_wrote_or_edited_is_not_overwritten(tmp_path: Path) -> None:
    folder = write_skill(skill(), tmp_path)
    edited = (folder / "SKILL.md").read_text() + "And close it.\n"
    (folder / "SKILL.md").write_text(edited)
    assert read_skill(folder).edited
    with pytest.raises(UsageError, match=r"not overwritten: it was edited by others"):
        write_skill(skill(body="Better."), tmp_path)
    assert (folder / "SKILL.md").read_text() == edited
    theirs = write(tmp_path, "---\nname: my-skill\ndescription: theirs\n---\n")
    with pytest.raises(UsageError, match="written by others"):
        write_skill(skill("my-skill"), tmp_path)
    assert read_skill(theirs).item.key_text == "theirs"
    (tmp_path / "notes").mkdir()
    with pytest.raises(UsageError, match="no skill of ours"):
        write_skill(skill("notes"), tmp_path)


def test_fields_of_others_move_to_metadata(tmp_path: Path) -> None:
    text = "---\nname: my-skill\ndescription: Say hello\ncategory: social\ntags: [a, b]\nallowed-tools:\n  - Read\n  - Bash\n---\nHello"
    read = read_skill(write(tmp_path, text))
    assert read.item.meta == {"allowed-tools": "Read Bash", "metadata": {"category": "social", "tags": "a b"}}
    assert len(read.notes) == 2
    assert "'category' is no field of the standard" in read.notes[0]
    assert validate(write_skill(read.item, tmp_path / "out")) == []


def test_windows_line_ends(tmp_path: Path) -> None:
    read = read_skill(write(tmp_path, "---\r\nname: my-skill\r\ndescription: d\r\n---\r\nBody\r\n"))
    assert (read.item.key_text, read.item.body) == ("d", "Body\r")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "begins with front matter"),
        ("hello", "begins with front matter"),
        ("---\nname: my-skill", "begins with front matter"),
        ("---\n---\n", "no mapping"),
        ("---\n- a\n---\n", "no mapping"),
        ("---\nname: my-skill\n---\n", "'description' is missing or empty"),
        ("---\ndescription: d\n---\n", "'name' is missing or empty"),
        ("---\nname: my-skill\ndescription: ' '\n---\n", "'description' is missing or empty"),
        ("---\nname: my-skill\ndescription: use: when\n---\n", "Quote texts that have a colon"),
        ("---\nname: my-skill\ndescription: 'open\n---\n", "is no YAML"),
        ("---\nname: my-skill\nname: other\ndescription: d\n---\n", "twice as a key: 'name'"),
        ("---\nname: my-skill\ndescription: d\nmetadata: 3\n---\n", "metadata is a mapping"),
        ("---\nname: my-skill\ndescription: d\nmetadata:\n  a:\n    b: c\n---\n", "metadata: 'a' is no text"),
        ("---\nname: my-skill\ndescription: {a: b}\n---\n", "'description' is missing"),
        ("---\nname: my-skill\ndescription: d\nlicense: {a: b}\n---\n", "license is a text"),
        ("---\nname: my-skill\ndescription: d\n? [a]\n: b\n---\n", "no text as a key"),
        ("---\nname: " + "[" * 5000 + "\ndescription: d\n---\n", "is no YAML"),
        ("---\nname: !!python/object/apply:os.system [ls]\ndescription: d\n---\n", "names the skill 'ls'"),
        ("---\nname: other\ndescription: d\n---\n", "its directory is 'my-skill'"),
        ("---\nname: my-skill\ndescription: " + "d" * 1025 + "\n---\n", "at most 1024"),
    ],
)  # fmt: skip
def test_broken_front_matter(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        read_skill(write(tmp_path, text))
    assert "SKILL.md" in str(caught.value)


def test_a_billion_laughs_are_not_laughed(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "\n".join(["---", "a0: &a0 ha", *levels, "name: my-skill", "description: d", "---", ""])
    with pytest.raises(UsageError, match="is no text"):
        read_skill(write(tmp_path, text))


@pytest.mark.parametrize(
    "name",
    ["../evil", "..", ".", "", "a/b", "/etc", "a\\b", "Heat", "heat--food", "-heat", "heat-", "heat food", "a" * 65,
     "heat_food", "heat\n", "c:", "\uff48eat", "a\0b", "~"],
)  # fmt: skip
def test_names_that_could_leave_the_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Not the name of a skill"):
        check_name(name)
    if name.strip() and "\0" not in name:
        with pytest.raises(UsageError, match="Not the name of a skill"):
            write_skill(skill(name), tmp_path / "root")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["a", "heat-food", "2-fast", "größe", "日本", "a" * 64])
def test_names_that_are_fine(name: str, tmp_path: Path) -> None:
    assert validate(write_skill(skill(name), tmp_path)) == []


def test_a_proposal_for_a_name() -> None:
    with pytest.raises(UsageError, match="such as 'heat-the-food'"):
        check_name("Heat the FOOD!")


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = write_skill(skill(), tmp_path / "root")
    (folder / "link.md").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="is a link"):
        read_skill(folder)
    (folder / "link.md").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="no plain file"):
        read_skill(folder)
    (tmp_path / "root" / "other").symlink_to(folder)
    with pytest.raises(UsageError, match="no skill directory"):
        read_skill(tmp_path / "root" / "other")


def test_files_of_too_many_bytes(tmp_path: Path) -> None:
    folder = write_skill(skill(), tmp_path)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room
    with pytest.raises(UsageError, match="more than 16777216 bytes"):
        read_skill(folder)
    (folder / "large.bin").unlink()
    (folder / "SKILL.md").write_bytes(b"x" * 1_000_001)
    with pytest.raises(UsageError, match="more than 1000000 bytes"):
        read_skill(folder)
    (folder / "SKILL.md").write_bytes(b"---\nname: \xff\n---\n")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_skill(folder)
    (folder / "SKILL.md").unlink()
    with pytest.raises(UsageError, match=r"has no SKILL\.md"):
        read_skill(folder)


def test_only_skills_and_tools_are_skills(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no skill"):
        write_skill(MemoryItem(ItemKind.PRINCIPLE, "open-first", "d", "b"), tmp_path)
    with pytest.raises(UsageError, match="has no field for"):
        write_skill(skill(meta={"steps": 3}), tmp_path)
    with pytest.raises(UsageError, match="made of its body"):
        write_skill(skill(files={"SKILL.md": b""}), tmp_path)


def test_all_skills_of_a_directory(tmp_path: Path) -> None:
    for item in (skill("b"), skill("a"), TOOL):
        write_skill(item, tmp_path)
    (tmp_path / "no-skill").mkdir()
    assert [read.item.name for read in read_skills(tmp_path)] == ["a", "b", "count-plates"]
