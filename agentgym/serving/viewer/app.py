"""The viewer's ASGI application: a route for each page, and what is shown where there is none."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agentgym.core.errors import AgentGymError, StoreFault, UnknownNameError
from agentgym.serving.viewer.charts import CHARTS, Theme, draw, draw_sparkline
from agentgym.serving.viewer.comparing import compare_page, evaluations
from agentgym.serving.viewer.episodes import episode_page, image_of, observation, text_of
from agentgym.serving.viewer.groups import group_page
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.listing import Search, listed
from agentgym.serving.viewer.memory.shelf import Shelf
from agentgym.serving.viewer.memory.site import MemorySite
from agentgym.serving.viewer.pages import Pages
from agentgym.serving.viewer.runs import run_page, series, summaries, summary
from agentgym.serving.viewer.watching import changes

_HERE = Path(__file__).parent
_RUN = "/runs/{folder}/{run}"
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(
    library: Library, shelf: Shelf, ending: asyncio.Event, on_problem: Callable[[str], None]
) -> Starlette:
    """Build the application over runs and memories. `ending` is set when streams are to end; `on_problem` is told of defects."""
    site = _Site(library, shelf, ending, on_problem)
    pages: dict[str, Callable[[Request], Response]] = {
        "/": site.runs,
        "/leaderboard": site.leaderboard,
        "/compare": site.compare,
        "/sparklines/{folder}/{run}": site.sparkline,
        _RUN: site.run,
        f"{_RUN}/charts/{{chart}}": site.chart,
        f"{_RUN}/episodes": site.episodes,
        f"{_RUN}/episodes/{{episode:path}}": site.episode,
        f"{_RUN}/groups/{{group:path}}": site.group,
        f"{_RUN}/images/{{turn:int}}/{{episode:path}}": site.image,
        f"{_RUN}/text/{{turn:int}}/{{episode:path}}": site.text,
        **site.memory.routes(_svg, _theme),
    }
    return Starlette(
        routes=[
            Mount("/static", StaticFiles(directory=_HERE / "static")),
            Route("/events", site.events),
            Route(f"{_RUN}/events", site.events),
            *(Route(path, site.answered(page)) for path, page in pages.items()),
        ],
        exception_handlers={HTTPException: site.not_found},
    )


class _Site:
    def __init__(
        self, library: Library, shelf: Shelf, ending: asyncio.Event, on_problem: Callable[[str], None]
    ) -> None:
        self._library = library
        self._ending = ending
        self._on_problem = on_problem
        self._pages = Pages()
        self.memory = MemorySite(shelf, library, self._page)

    def answered(self, page: Callable[[Request], Response]) -> Endpoint:
        """Return a page as an endpoint, made in a thread; what cannot be shown is a page that says why."""

        async def handle(request: Request) -> Response:
            try:
                return await run_in_threadpool(page, request)
            except UnknownNameError as error:
                return self._problem(404, "There is nothing here", str(error))
            except StoreFault as error:
                return self._problem(503, "The store cannot be read", str(error))
            except AgentGymError as error:
                return self._problem(400, "This cannot be shown", str(error))
            except Exception as error:  # noqa: BLE001 - a page that says so, and a line for whoever started it
                self._on_problem(f"The page {request.url.path!r} failed: {error!r}")
                return self._problem(500, "This page failed", repr(error))

        return handle

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Answer what no route answers."""
        status = cast(HTTPException, error).status_code
        return self._problem(status, "There is nothing here", "No page has this address.")

    def runs(self, request: Request) -> Response:
        """List the runs."""
        return self._page("runs.html", runs=summaries(self._library), root=self._library.root)

    def run(self, request: Request) -> Response:
        """Show a run."""
        folder, run = _run(request)
        page = run_page(self._library, folder, run)
        return self._page("run.html", page=page, charts=CHARTS, memories=self.memory.of_run(folder))

    def chart(self, request: Request) -> Response:
        """Draw a curve of a run."""
        key = request.path_params["chart"].removesuffix(".svg")
        if key not in CHARTS:
            raise UnknownNameError("chart", key, CHARTS)
        chart = CHARTS[key]
        return _svg(draw(chart, series(self._library, *_run(request), chart.names), _theme(request)))

    def sparkline(self, request: Request) -> Response:
        """Draw a run's success in the list."""
        return _svg(draw_sparkline(summary(self._library, *_run(request)).points, _theme(request)))

    def episodes(self, request: Request) -> Response:
        """List, filter and search a run's episodes."""
        search = Search.from_query(request.query_params)
        found = listed(self._library, *_run(request), search)
        more = "" if found.page.more is None else urlencode(search.query(found.page.more))
        return self._page("episodes.html", found=found, search=search, more=more)

    def episode(self, request: Request) -> Response:
        """Show an episode."""
        folder, run = _run(request)
        page = episode_page(self._library, folder, run, request.path_params["episode"])
        turns = [step.turn for step in page.steps]
        shown = {item for turn in turns for item in turn.shown_items}
        withheld = {item for turn in turns for item in turn.withheld_items}
        at_hand = self.memory.at_hand(folder, run, page.episode.id, shown, withheld)
        named = {one.version: one for one in at_hand}
        return self._page("episode.html", page=page, folder=folder, run=run, at_hand=at_hand, named=named)

    def group(self, request: Request) -> Response:
        """Show the rollouts of a group side by side, and the states they shared."""
        folder, run = _run(request)
        page = group_page(self._library, folder, run, request.path_params["group"])
        return self._page("group.html", page=page, folder=folder, run=run)

    def image(self, request: Request) -> Response:
        """Send the picture of an observation."""
        from PIL import Image

        image = image_of(self._observation(request))
        if image is None:
            raise UnknownNameError("picture", str(request.path_params["turn"]), ())
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        return Response(stream.getvalue(), media_type="image/png")

    def text(self, request: Request) -> Response:
        """Send a whole observation as plain text."""
        whole = text_of(self._observation(request))
        return PlainTextResponse(whole.encode("utf-8", "backslashreplace"))

    def compare(self, request: Request) -> Response:
        """Compare two evaluations."""
        chosen = [request.query_params.get(side, "") for side in ("before", "after")]
        try:
            return self._page("compare.html", page=compare_page(self._library, *chosen))
        except AgentGymError as error:
            names = list(evaluations(self._library))
            return self._page("compare.html", 400, page=None, names=names, chosen=chosen, problem=str(error))

    def leaderboard(self, request: Request) -> Response:
        """Rank the evaluations."""
        from agentgym.evaluation.boards import HEADINGS, cells
        from agentgym.evaluation.leaderboard import leaderboard

        left_out: list[str] = []
        boards = leaderboard(self._library.root, on_unreadable=left_out.append)
        return self._page(
            "leaderboard.html", boards=boards, headings=HEADINGS, cells=cells, left_out=left_out
        )

    async def events(self, request: Request) -> Response:
        """Tell a page, as server-sent events, whenever what it shows has changed."""
        run = (
            (request.path_params["folder"], request.path_params["run"])
            if "run" in request.path_params
            else None
        )
        stream = changes(self._library, run, self._ending)
        return StreamingResponse(stream, media_type="text/event-stream")

    def _observation(self, request: Request) -> Any:
        place = request.path_params
        return observation(self._library, *_run(request), place["episode"], place["turn"])

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._pages.render(template, **values), status)

    def _problem(self, status: int, title: str, message: str) -> Response:
        return self._page("problem.html", status, title=title, message=message)


def _run(request: Request) -> tuple[str, str]:
    return request.path_params["folder"], request.path_params["run"]


def _theme(request: Request) -> Theme:
    return "dark" if request.query_params.get("theme") == "dark" else "light"


def _svg(data: bytes) -> Response:
    return Response(data, media_type="image/svg+xml", headers={"cache-control": "private, max-age=600"})
