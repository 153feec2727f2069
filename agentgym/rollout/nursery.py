"""The far side of process stepping: a process that has imported an environment, and forks one worker for each.

Nothing but the environment and what it needs is imported here, once for all workers: a worker is ready in
milliseconds. The nursery is the leader of a session of its own, so that a key pressed in the terminal does not
reach the workers; when its parent is gone, however that ended, it ends itself and all of them.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import traceback
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import EnvironmentFault
from agentgym.rollout.seat import MakeEnv, Seat

LENGTH = struct.Struct("<Q")
"""Before each message: its length in bytes."""
NUMBER = struct.Struct("<i")
"""On the control socket: a process id (0: fork one, whose socket comes along), and the answer."""


def main(descriptor: int) -> None:
    """Fork and kill workers as the control socket says, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what a world prints is no output of ours
    with socket.socket(fileno=descriptor) as control:
        make_env = _load(receive(control))
        workers = set[int]()
        while True:
            command, descriptors, _, _ = socket.recv_fds(control, NUMBER.size, 1, socket.MSG_WAITALL)
            if len(command) < NUMBER.size:
                break
            (worker,) = NUMBER.unpack(command)
            if worker == 0:
                answer = _fork(control, descriptors[0], make_env)
                workers.add(answer)
            else:
                answer = _end(worker) if worker in workers else 0
                workers.discard(worker)
            control.sendall(NUMBER.pack(answer))
    os.killpg(0, signal.SIGKILL)


def _fork(control: socket.socket, descriptor: int, make_env: MakeEnv) -> int:
    """Return the id of a new worker that answers on the socket `descriptor`."""
    worker = os.fork()
    if worker:
        os.close(descriptor)
        return worker
    try:
        control.close()
        _serve(socket.socket(fileno=descriptor), make_env)
    finally:
        os._exit(0)


def _end(worker: int) -> int:
    """Kill a worker, if it still lives, and return its exit status: minus the signal that ended it."""
    os.kill(worker, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])


def _load(pickled: bytes) -> MakeEnv:
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:  # noqa: BLE001 - the first reset tells it
        fault = EnvironmentFault(
            f"The environment cannot be made in a process of its own: {error!r}. What makes it must be importable "
            "there."
        )

        def fail() -> Any:
            raise fault

        return fail


def _serve(connection: socket.socket, make_env: MakeEnv) -> None:
    seat = Seat(make_env)
    while True:
        try:
            call, args = pickle.loads(receive(connection))
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = (True, getattr(seat, call)(*args))
        except BaseException as error:  # noqa: BLE001 - whoever asked must hear of it
            answer = (False, _sendable(error))
        try:
            data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - anything can go wrong in other people's classes
            fault = EnvironmentFault(f"What the environment's {call} gave cannot be pickled: {error!r}.")
            data = pickle.dumps((False, fault))
        connection.sendall(LENGTH.pack(len(data)) + data)


def _sendable(error: BaseException) -> Exception:
    """Return an error as it can be raised in another process, with its traceback as a note."""
    told = "".join(traceback.format_exception(error)).strip()
    if isinstance(error, Exception):
        error.add_note(f"In the environment's process:\n{told}")
        try:
            if type(pickle.loads(pickle.dumps(error))) is type(error):
                return error
        except Exception:  # noqa: BLE001, S110 - then in words
            pass
    return EnvironmentFault(f"The environment raised {error!r:.200}. In its process:\n{told}")


def receive(connection: socket.socket) -> bytes:
    """Return the next message; raises `EOFError` where the other side is gone."""
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
