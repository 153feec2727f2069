"""A problem of the benchmark, and what its right calls do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.bfcl import official
from agentgym.environments.bfcl.apis import Apis
from agentgym.environments.bfcl.calls import parse_call, tool_spec


@dataclass(frozen=True)
class Aftermath:
    """What is there after the right calls of a turn."""

    instances: Mapping[str, Any]
    """The APIs, by name."""
    responses: Sequence[str]
    """What the calls of this turn returned."""


class Problem:
    """One entry of the benchmark's data, read."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.id: str = entry["id"]
        self.apis: Sequence[str] = entry["involved_classes"]
        self._configs: Mapping[str, Any] = entry["initial_config"]
        self._long_context = "long_context" in self.id
        self._missing: Mapping[int, Sequence[str]] = {
            int(turn): names for turn, names in entry.get("missed_function", {}).items()
        }
        """By the turn in which they appear."""
        withheld = {
            *entry.get("excluded_function", ()),
            *(n for names in self._missing.values() for n in names),
        }
        docs = [doc for api in self.apis for doc in official.tool_docs(api)]
        self._specs = {doc["name"]: tool_spec(doc) for doc in docs}
        self._at_first = [name for name in self._specs if name not in withheld]
        self._requests: Sequence[Sequence[Mapping[str, str]]] = entry["question"]
        parameters = {name: list(spec.input_schema["properties"]) for name, spec in self._specs.items()}
        self.right_calls: Sequence[Sequence[ToolCall]] = [
            [parse_call(text, parameters) for text in turn] for turn in entry["ground_truth"]
        ]

    @property
    def turns(self) -> int:
        """How often the user speaks."""
        return len(self._requests)

    def start(self) -> Apis:
        """Return the APIs as they are in the beginning."""
        return Apis(self.apis, self._configs, self._long_context)

    def tools(self, turn: int) -> list[ToolSpec]:
        """Return what is offered in a turn: without the functions that are missing until later."""
        appeared = [name for since, names in self._missing.items() if since <= turn for name in names]
        return [self._specs[name] for name in [*self._at_first, *appeared]]

    def appearing(self, turn: int) -> list[ToolSpec]:
        """Return what is offered from this turn on, and was missing before."""
        return [self._specs[name] for name in self._missing.get(turn, ())]

    def request(self, turn: int) -> str:
        """Return what the user says in the beginning of a turn."""
        if self.appearing(turn):
            return official.reveal_text()
        return "\n".join(message["content"] for message in self._requests[turn])

    @cached_property
    def aftermaths(self) -> Sequence[Aftermath]:
        """What the right calls lead to, turn by turn."""
        apis = self.start()
        after: list[Aftermath] = []
        for calls in self.right_calls:
            responses = [apis.call(call, ()).text for call in calls]
            after.append(Aftermath(apis.frozen(), responses))
        return after

    @cached_property
    def needed(self) -> Sequence[Counter[str]]:
        """For each turn: which responses a check in it or later looks for, and how many of each at most."""
        needed: list[Counter[str]] = []
        later: Counter[str] = Counter()
        for aftermath in reversed(self.aftermaths):
            later = later | Counter(aftermath.responses)
            needed.append(later)
        return needed[::-1]

    def check(self, turn: int, apis: Apis, called: bool, responses: Sequence[str]) -> dict[str, Any]:
        """Judge a turn that has ended as the official checker does.

        `called` is whether there was any call in it, `responses` are those of all turns so far. Returns `valid`,
        and where it is false `error_type` and `error_message`.
        """
        right = self.aftermaths[turn]
        if not self.right_calls[turn]:
            return {"valid": True}  # there is nothing to be done in it; what has been done shows in the next
        if not called:
            message = f"Model response list is empty for turn {turn}"
            return {
                "valid": False,
                "error_type": "multi_turn:empty_turn_model_response",
                "error_message": message,
            }
        verdict = official.compare_states(apis.instances, right.instances)
        return official.compare_responses(responses, right.responses, turn) if verdict["valid"] else verdict
