"""The shop on a port of this machine, for browsers."""

from __future__ import annotations

import os
import socket
import threading
from functools import lru_cache

import uvicorn

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.webshop.app import Shop

_START_S = 60.0


def serve(shop: Shop) -> str:
    """Serve the shop on loopback for as long as this process lives; return the address everything is below."""
    return _serve(shop, os.getpid())


@lru_cache(maxsize=4)
def _serve(shop: Shop, process: int) -> str:
    del process  # a forked one has no thread of its parent's
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(shop.app, log_level="warning", access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="agentgym-webshop", daemon=True)
    thread.start()
    waited = threading.Event()
    for _ in range(int(_START_S / 0.01)):
        if server.started:
            return f"http://127.0.0.1:{listener.getsockname()[1]}/"
        waited.wait(0.01)
    raise EnvironmentFault(f"The shop's server did not start within {_START_S:g} s.")
