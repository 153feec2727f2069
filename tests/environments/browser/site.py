"""A small site on a real server, with everything that a page may do to an agent."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep

INDEX = """<html><title>Start</title><body><h1>Welcome</h1>
<a href="/two">two</a> <a href="/two" target="_blank">tab</a> <a href="http://127.0.0.1:9/">outside</a>
<a href="/file" download="report.txt">file</a> <a href="/slow">slow</a>
<form action="/two"><input name="q" aria-label="Query"><button>Go</button></form>
<select aria-label="Colour" onchange="document.title=this.value"><option>red<option>sea green</select>
<input type="date" aria-label="Day" onchange="document.title=this.value">
<button onclick="while (true) {}">hang</button>
<button onclick="alert('careful'); document.title = confirm('sure?')">dialogs</button>
<button onclick="while (true) alert('again')">nag</button>
<button onclick="window.close()">shut</button>
<button onclick="this.remove(); setTimeout(() => document.title = 'removed')">remove</button>
<button disabled>off</button>
<button onclick="fetch('http://127.0.0.1:9/').catch(() => document.title = 'fetch failed')">fetch</button>
<button onclick="for (let n = 0; n < 30; n++) fetch(`http://127.0.0.1:9/${n}`).catch(() => 0)">fetch many</button>
<button onclick="document.cookie='seen=1'; localStorage.x = sessionStorage.x = 1">keep</button>
<div style="position:relative"><button style="position:absolute">under</button>
<div style="position:absolute;width:200px;height:60px;background:white">over</div></div>
<div style="height:3000px"></div><button onclick="document.title='reached'">far</button>
</body></html>"""


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = {"/": INDEX, "/long": "<p>" + "word " * 200_000, "/file": "secret"}.get(
            path, f"<html><title>Page {path}</title><p>{query or 'nothing'}</p>"
        )
        if path == "/slow":
            sleep(8)
        data = body.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def serve() -> Generator[str]:
    """Serve the site; gives the address that everything is below."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
