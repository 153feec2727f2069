"""The web application behind a real server, and the same application in process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from agentgym.core.errors import UsageError
from agentgym.environments.webshop.app import open_shop
from agentgym.environments.webshop.catalogue import code_of, product
from agentgym.environments.webshop.server import serve
from agentgym.environments.webshop.sessions import Item, Session, Sessions
from agentgym.environments.webshop.visitor import Visitor


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=serve(open_shop()), follow_redirects=True) as client:
        yield client


def test_a_visitor_shops_with_links_forms_and_a_cookie(client: httpx2.Client) -> None:
    page = client.get("/search", params={"q": "waterproof hiking boots"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    (code, *_) = re.findall(r'href="/item/(\w+)"', page.text)
    number = open_shop().stock.number(code)
    assert number is not None
    each = product(number)
    (option, values), *_ = each.options
    shown = client.get(f"/item/{code}", params={option: values[0], "colour": "unknown"})
    assert each.title in shown.text
    assert f'<input type="hidden" name="{option}" value="{values[0]}">' in shown.text
    assert "unknown" not in shown.text
    cart = client.post("/cart", data={"code": code, option: values[0]})
    assert (str(cart.url.path), each.title in cart.text) == ("/cart", True)
    client.post("/cart", data={"code": code_of(5)})
    client.post("/cart/remove", data={"line": "0"})
    assert product(5).title in client.get("/checkout").text
    bought = client.post("/checkout")
    assert bought.url.path == "/done"
    assert product(5).title in bought.text
    assert "Your cart is empty" in client.get("/cart").text


def test_visitors_are_kept_apart(client: httpx2.Client) -> None:
    client.post("/cart", data={"code": code_of(5)})
    with httpx2.Client(base_url=client.base_url) as other:
        assert "Your cart is empty" in other.get("/cart").text
    assert product(5).title in client.get("/cart").text


@pytest.mark.parametrize(
    "address",
    ["/item/zzzz", "/nothing/here", "/search?q=&page=0", "/search?page=99999", "/item/%F0%9F%8D%B5"],
)
def test_odd_addresses_have_pages_too(client: httpx2.Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert "There is no such page" in answer.text or "Nothing was found." in answer.text


def test_what_is_typed_is_not_run(client: httpx2.Client) -> None:
    page = client.get("/search", params={"q": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text
    assert client.post("/buy", data={"code": "x" * 100_000}).url.path == "/"
    assert client.post("/buy", content=b"\xff\xfe=%zz").url.path == "/"


def test_text_and_html_are_one_page(client: httpx2.Client) -> None:
    address = "/search?q=green+tea"
    shop = open_shop()
    key = shop.sessions.open(Session())
    view = Visitor(shop, key).get(address)
    html = client.get(address).text
    assert view.text.startswith("Results 1 to 10 of 50:\n")
    assert list(view.controls) == re.findall(r"<a href=[^>]*>(.*?)</a>", html)
    assert client.get(address, headers={"accept": "application/json"}).json()["text"] == view.text
    shop.sessions.close(key)


def test_sessions_are_data() -> None:
    session = Session((Item(3, (("size", "9"),)), Item(4)), (Item(5),), "/search?q=x", 4)
    assert Session.load(session.dump()) == session
    wrongs: tuple[Any, ...] = (None, [], [[], None, "", "10"], [[[1]], None, "", 10], [3, None, "", 10])
    for wrong in wrongs:
        with pytest.raises(UsageError, match="no session of the shop"):
            Session.load(wrong)


def test_strangers_are_forgotten_when_there_are_too_many() -> None:
    sessions = Sessions()
    kept = sessions.open(Session())
    keys = [sessions.welcome() for _ in range(1001)]
    assert kept in sessions
    assert keys[0] not in sessions
    assert keys[-1] in sessions
