"""Plays MiniWoB in BrowserGym, in a Python that has it: one episode for each line of JSON that it reads.

A line is `{"page", "seed", "actions"}`; an action is `{"verb", "arguments"}` with the element it means as `{"role",
"name", "nth"}` in place of its number. The answer has the utterance, the reward and the seconds taken.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any


def element(observation: Any, wanted: dict[str, Any]) -> str:
    """Return BrowserGym's id of an element."""
    found = [
        node["browsergym_id"]
        for node in observation["axtree_object"]["nodes"]
        if node.get("browsergym_id")
        and not node.get("ignored")
        and node["role"]["value"] == wanted["role"]
        and " ".join(node.get("name", {}).get("value", "").split()) == wanted["name"]
    ]
    return found[wanted["nth"]]


def written(observation: Any, action: dict[str, Any]) -> str:
    """Write an action as BrowserGym reads it."""
    given: list[Any] = action["arguments"]
    arguments: list[Any] = [element(observation, each) if hasattr(each, "keys") else each for each in given]
    if action["verb"].startswith("mouse"):  # it takes coordinates of its screenshot, which is larger
        arguments = [1.5 * each for each in arguments]
    if action["verb"] == "select_option":  # it takes several as a list
        arguments[1:] = [arguments[1:]]
    return f"{action['verb']}({', '.join(map(repr, arguments))})"


def play(gym: Any, mapping: Any, episode: dict[str, Any]) -> dict[str, Any]:
    """Play an episode and return what came of it."""
    env = gym.make(
        f"browsergym/miniwob.{episode['page']}",
        headless=True,
        slow_mo=0,
        pre_observation_delay=0.0,
        disable_env_checker=True,
        action_mapping=mapping,
    )
    started = time.perf_counter()
    observation, _ = env.reset(seed=episode["seed"])
    begun = time.perf_counter()
    reward, done = 0.0, False
    errors: list[str] = []
    for action in episode["actions"]:
        if done:
            break
        observation, reward, done, _, _ = env.step(written(observation, action))
        errors.append(observation["last_action_error"])
    ended = time.perf_counter()
    env.close()
    return {
        "utterance": observation["goal"],
        "reward": float(reward),
        "errors": [error for error in errors if error],
        "reset_s": begun - started,
        "steps_s": ended - begun,
    }


def main() -> None:
    """Answer until the input ends."""
    import_module("browsergym.miniwob")
    gym = import_module("gymnasium")
    actions = import_module("browsergym.core.action.highlevel").HighLevelActionSet(["bid", "coord"])
    for line in sys.stdin:
        print(json.dumps(play(gym, actions.to_python_code, json.loads(line))), flush=True)


main()
