"""A device over `adb`: the wire protocol against Debian's own client, and whole tasks on the phone behind it."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentgym.core.errors import EnvironmentFault, NotForkableError, StepError, TaskError, UsageError
from agentgym.core.task import Split
from agentgym.environments.phone import SPEC
from agentgym.environments.phone.adb import AdbEnv, DeviceTasks
from agentgym.environments.phone.adb_device import AdbDevice
from agentgym.environments.phone.adb_wire import AdbServer
from agentgym.environments.phone.env import PhoneEnv
from tests.environments.phone.adb_server import SERIAL, AdbTestServer, Android, adb_server


@pytest.fixture
def phone() -> PhoneEnv:
    env = SPEC.make(Split.TRAIN, max_steps=200)
    env.reset(options={"task": "train-notes_pin-000"})
    return env


@pytest.fixture
def server(phone: PhoneEnv) -> Iterator[AdbTestServer]:
    with adb_server(Android(phone.device)) as running:
        yield running


def adb(server: AdbTestServer, *words: str) -> bytes:
    """Run Debian's client against the server."""
    command = ["adb", "-P", str(server.port), *words]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def _tasks(*instructions: str) -> DeviceTasks:
    return DeviceTasks.from_params([{"instruction": instruction} for instruction in instructions])


def _env(server: AdbTestServer, tasks: DeviceTasks, pictures: bool = False) -> AdbEnv:
    return AdbEnv(tasks, port=server.port, serial=SERIAL, pictures=pictures)


def test_debians_client_finds_an_adb_server_there(server: AdbTestServer, tmp_path: Path) -> None:
    assert adb(server, "devices") == f"List of devices attached\n{SERIAL}\tdevice\n\n".encode()
    assert adb(server, "shell", "wm", "size") == b"Physical size: 360x640\n"
    assert adb(server, "exec-out", "screencap", "-p").startswith(b"\x89PNG\r\n\x1a\n")
    assert b"dumped to: /sdcard/w.xml" in adb(server, "shell", "uiautomator", "dump", "/sdcard/w.xml")
    adb(server, "pull", "/sdcard/w.xml", str(tmp_path / "w.xml"))
    assert (tmp_path / "w.xml").read_bytes() == server.android.files["/sdcard/w.xml"]
    (tmp_path / "new.bin").write_bytes(bytes(range(256)) * 100)
    adb(server, "push", str(tmp_path / "new.bin"), "/sdcard/new.bin")
    assert server.android.files["/sdcard/new.bin"] == bytes(range(256)) * 100


def test_ours_gets_what_debians_client_gets(server: AdbTestServer) -> None:
    ours = AdbServer(port=server.port, serial=SERIAL)
    assert ours.devices() == {SERIAL: "device"}
    assert ours.shell("echo one two").encode() == adb(server, "shell", "echo", "one", "two")
    assert ours.exec_out("screencap -p") == adb(server, "exec-out", "screencap", "-p")
    ours.shell("uiautomator dump /sdcard/w.xml")
    assert ours.pull("/sdcard/w.xml") == server.android.files["/sdcard/w.xml"]


@pytest.mark.parametrize(
    "task_id",
    [
        "train-settings_two_switches-001",
        "train-contacts_add_with_email-000",
        "train-contacts_change_number-002",
        "train-notes_delete-001",
        "train-files_rename-001",
        "train-several_event_to_alarm-000",
        "train-messages_answer-000",
    ],
)
def test_the_experts_actions_do_the_same_on_a_device(task_id: str) -> None:
    """The phone in process, played over `adb`, goes through the very screens of the one played directly."""
    direct, behind = SPEC.make(Split.TRAIN, max_steps=200), SPEC.make(Split.TRAIN, max_steps=200)
    direct.reset(options={"task": task_id})
    behind.reset(options={"task": task_id})
    with adb_server(Android(behind.device)) as server:
        env = _env(server, _tasks(str(direct.reset(options={"task": task_id})[1]["instruction"])))
        observation, info = env.reset()
        assert str(observation).endswith(f"Your task is to: {info['instruction']}.")
        reward, terminated = 0.0, False
        while (action := direct.oracle()) is not None:
            direct.step(action)
            observation, reward, terminated, _, info = env.step(action)
            assert info["valid"], action
            assert str(observation).splitlines() == list(direct.device.scene.listing.lines), action
        assert (reward, terminated) == (1.0, True)
    assert behind.device.store.digest() == direct.device.store.digest()


def test_tasks_on_a_device_are_checked_by_its_shell(server: AdbTestServer, phone: PhoneEnv) -> None:
    value = phone.device.store.rows("settings", name="Bluetooth")[0]["value"]
    other = "off" if value == "on" else "on"
    params = {
        "instruction": f"turn Bluetooth {other}",
        "setup": ["echo ready"],
        "check": "settings get global Bluetooth",
        "expect": other,
    }
    env = _env(server, DeviceTasks.from_params([params]))
    env.reset()
    assert "echo ready" in server.android.commands
    assert env.step("status complete")[1] == 0.0
    env.reset(options={"task": "device-000"})
    for action in ("open_app settings", "tap Network", "tap Bluetooth"):
        assert env.step(action)[4]["valid"]
    _, reward, terminated, _, info = env.step("status complete")
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    with pytest.raises(StepError, match="call reset"):
        env.step("back")


def test_screenshots_are_the_picture_of_the_screen(server: AdbTestServer, phone: PhoneEnv) -> None:
    env = _env(server, _tasks("look"), pictures=True)
    observation, _ = env.reset()
    assert observation in env.observation_space
    assert isinstance(observation, dict)
    phone.render_mode = "rgb_array"
    assert np.array_equal(observation["image"], np.asarray(phone.render()))


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("tap 999 10", "(999 10 is off the screen, which is 360 by 640 pixels.)"),
        ("tap Nothing", "(Nothing here is called 'Nothing'."),
        ("type milk", "(No field has the focus: tap one first, then type.)"),
        ("type Grüße", "(Android's `input text` types ASCII characters in one line only.)"),
        ("open_app Kontacts", "(No application is called 'Kontacts'. Did you mean 'contacts'?"),
        ("fly", "(Unknown action 'fly'."),
    ],
)
def test_what_cannot_be_done_is_told(server: AdbTestServer, action: str, answer: str) -> None:
    env = _env(server, _tasks("look"))
    env.reset()
    before, key = len(server.android.commands), env.state_key()
    observation, _, _, _, info = env.step(action)
    assert str(observation).startswith(answer)
    assert not info["valid"]
    assert env.state_key() == key
    assert not [line for line in server.android.commands[before:] if line.startswith("input")]


def test_shell_characters_are_typed_and_never_run(server: AdbTestServer, phone: PhoneEnv) -> None:
    env = _env(server, _tasks("look"))
    env.reset()
    awkward = """a 'b' "c" $(reboot) `id`; rm -rf / & 100% %s %%s \\ #"""
    for action in ("open_app contacts", "tap Search", f"type {awkward}"):
        assert env.step(action)[4]["valid"]
    assert phone.device.top.fields == {"Search": awkward}


def test_a_screen_that_moves_is_dumped_again(server: AdbTestServer) -> None:
    env = _env(server, _tasks("look"))
    server.android.busy = 2
    assert "Settings" in str(env.reset()[0])
    server.android.busy = 9
    with pytest.raises(EnvironmentFault, match="no hierarchy in 3 tries: 'ERROR: could not get idle state"):
        env.reset()


@pytest.mark.parametrize(
    ("command", "says", "message"),
    [
        ("wm", b"error: device offline", "`wm size` on the device gave no size"),
        ("input", b"java.lang.SecurityException: Injecting", "`input keyevent` failed on the device"),
        ("screencap", b"", "screencap wrote no picture"),
    ],
)
def test_a_device_that_does_not_do_what_it_is_told_is_a_fault(
    server: AdbTestServer, command: str, says: bytes, message: str
) -> None:
    server.android.broken[command] = says
    with pytest.raises(EnvironmentFault, match=message):
        _env(server, _tasks("look"), pictures=True).reset()


def test_servers_and_devices_that_are_not_there(server: AdbTestServer) -> None:
    with pytest.raises(EnvironmentFault, match=r"device 'other' not found.*`adb devices`"):
        AdbDevice(AdbServer(port=server.port, serial="other"))
    server.plugged = False
    with pytest.raises(EnvironmentFault, match="no devices/emulators found"):
        AdbDevice(AdbServer(port=server.port))
    server.plugged = True
    with pytest.raises(EnvironmentFault, match="did not send '/no': failed to open"):
        AdbServer(port=server.port).pull("/no")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(EnvironmentFault, match=r"No adb server answers.*`adb start-server`"):
            AdbServer(port=free.getsockname()[1]).devices()


@pytest.mark.parametrize("says", [b"", b"OKA", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"OKAYzzzz"])
def test_what_is_no_adb_server_is_a_fault(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(64)
                connection.sendall(says)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(EnvironmentFault, match="adb"):
            AdbServer(port=listening.getsockname()[1]).devices()
        thread.join()


def test_a_device_cannot_be_forked_and_its_tasks_are_checked(server: AdbTestServer) -> None:
    env = _env(server, _tasks("look"))
    env.reset()
    with pytest.raises(NotForkableError):
        env.snapshot()
    with pytest.raises(TaskError, match="needs an instruction"):
        DeviceTasks.from_params([{"setup": []}])
    with pytest.raises(TaskError, match="unknown params \\['chek'\\]"):
        DeviceTasks.from_params([{"instruction": "look", "chek": "true"}])
    with pytest.raises(TaskError, match="No such task"):
        env.reset(options={"task": "device-009"})
    with pytest.raises(UsageError, match="no tasks in split 'heldout'"):
        AdbEnv(_tasks("look"), Split.HELDOUT, port=server.port)
