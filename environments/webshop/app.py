"""The shop as a web application: pages with links and forms, sessions by cookie, a cart, a checkout.

Whoever accepts HTML gets HTML; whoever asks for JSON gets the same page as text with its controls.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, StrictUndefined, Template
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agentgym.environments.webshop import pages
from agentgym.environments.webshop.catalogue import Product, product
from agentgym.environments.webshop.pages import Page
from agentgym.environments.webshop.sessions import Session, Sessions, as_item
from agentgym.environments.webshop.stock import Stock, open_stock

COOKIE = "shop_session"
QUERY_CHARS = 1000
"""Longest search."""
_CART = 20
"""Most products in a cart."""
_FORM_BYTES = 10_000

Answer = Page | str
"""A page to show, or an address to go on to."""
Handler = Callable[[Request, Session], Awaitable[tuple[Answer, Session]]]


class Shop:
    """The shop's pages over a stock; `app` serves them."""

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.sessions = Sessions()
        self.app = Starlette(
            routes=[
                Route("/", self._endpoint(self._front)),
                Route("/search", self._endpoint(self._search)),
                Route("/item/{code}", self._endpoint(self._item)),
                Route("/buy", self._endpoint(self._buy), methods=["POST"]),
                Route("/cart", self._endpoint(self._cart)),
                Route("/cart", self._endpoint(self._add), methods=["POST"]),
                Route("/cart/remove", self._endpoint(self._remove), methods=["POST"]),
                Route("/checkout", self._endpoint(self._checkout)),
                Route("/checkout", self._endpoint(self._order), methods=["POST"]),
                Route("/done", self._endpoint(self._done)),
                Route("/{path:path}", self._endpoint(self._missing), methods=["GET", "POST"]),
            ]
        )

    def _endpoint(self, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            key = request.cookies.get(COOKIE, "")
            known = key in self.sessions
            if not known:
                key = self.sessions.welcome()
            answer, self.sessions[key] = await handle(request, self.sessions[key])
            response = _respond(request, answer)
            if not known:
                response.set_cookie(COOKIE, key, httponly=True, samesite="lax")
            return response

        return endpoint

    async def _front(self, request: Request, session: Session) -> tuple[Answer, Session]:
        del request
        return pages.front(session), session

    async def _search(self, request: Request, session: Session) -> tuple[Answer, Session]:
        query = request.query_params.get("q", "")[:QUERY_CHARS]
        number = request.query_params.get("page", "1")
        number = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 1
        page = pages.results(session, query, max(number, 1), self.stock.search(query))
        return page, replace(session, found=page.address)

    async def _item(self, request: Request, session: Session) -> tuple[Answer, Session]:
        number = self.stock.number(request.path_params["code"])
        if number is None:
            return pages.missing(request.url.path), session
        each = product(number)
        return pages.item(session, each, _options(each, request.query_params)), session

    async def _buy(self, request: Request, session: Session) -> tuple[Answer, Session]:
        one = await self._asked(request)
        return ("/", session) if one is None else ("/done", replace(session, order=(one,)))

    async def _cart(self, request: Request, session: Session) -> tuple[Answer, Session]:
        del request
        return pages.cart(session), session

    async def _add(self, request: Request, session: Session) -> tuple[Answer, Session]:
        one = await self._asked(request)
        if one is None or len(session.cart) >= _CART:
            return "/cart", session
        return "/cart", replace(session, cart=(*session.cart, one))

    async def _remove(self, request: Request, session: Session) -> tuple[Answer, Session]:
        line = (await _form(request)).get("line", "")
        cart = [one for n, one in enumerate(session.cart) if str(n) != line]
        return "/cart", replace(session, cart=tuple(cart))

    async def _checkout(self, request: Request, session: Session) -> tuple[Answer, Session]:
        del request
        return (pages.checkout(session), session) if session.cart else ("/cart", session)

    async def _order(self, request: Request, session: Session) -> tuple[Answer, Session]:
        del request
        if not session.cart:
            return "/cart", session
        return "/done", replace(session, cart=(), order=session.cart)

    async def _done(self, request: Request, session: Session) -> tuple[Answer, Session]:
        del request
        return ("/", session) if session.order is None else (pages.done(session), session)

    async def _missing(self, request: Request, session: Session) -> tuple[Answer, Session]:
        return pages.missing(request.url.path), session

    async def _asked(self, request: Request) -> pages.Item | None:
        """Return the product that a form asks for."""
        form = await _form(request)
        number = self.stock.number(form.get("code", ""))
        if number is None:
            return None
        return as_item(number, _options(product(number), form))


def _options(each: Product, given: Mapping[str, str]) -> dict[str, str]:
    return {option: value for option, value in given.items() if each.takes(option, value)}


async def _form(request: Request) -> dict[str, str]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _FORM_BYTES:
            return {}
    return dict(parse_qsl(data.decode("utf-8", "replace")))


def _respond(request: Request, answer: Answer) -> Response:
    if isinstance(answer, str):
        return RedirectResponse(answer, status_code=303)
    if request.headers.get("accept") == "application/json":
        controls = [[each.label, each.href, each.form] for each in answer.controls]
        return JSONResponse({"address": answer.address, "text": answer.text, "controls": controls})
    query = request.query_params.get("q", "")
    return HTMLResponse(_template().render(page=answer, query=query))


def open_shop() -> Shop:
    """Return this process's shop."""
    return _shop(os.getpid())


@lru_cache(maxsize=1)
def _shop(process: int) -> Shop:
    del process
    return Shop(open_stock())


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
