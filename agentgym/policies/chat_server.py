"""An OpenAI-compatible server, called patiently.

What can pass (too many requests, a failure or restart of the server, a lost connection) is tried again until the
patience is spent, and then is an `InferenceFault`. What is the caller's to mend (key, model, address) is a
`ConfigError` at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from agentgym.core.errors import ConfigError, InferenceFault, did_you_mean
from agentgym.policies.chat_wire import Answer, Unreadable, read_answer
from agentgym.policies.pace import Pace, back_off_s
from agentgym.policies.refusals import Meaning, Refusal, clean, read_refusal

try:
    import openai
except ImportError as error:
    raise ConfigError(
        "Endpoints need the `openai` package: pip install 'agentgym-harness[endpoint]'."
    ) from error

OPENAI_URL = "https://api.openai.com/v1"
_LISTED = 12
"""Most models named in a message."""


class ContextOverflow(Exception):
    """The conversation is too long for the model."""


class _Passing(Exception):
    """A failure that another attempt may not meet."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(what)


class Listing(NamedTuple):
    """What a server says that it serves."""

    models: list[str]
    owners: set[str]


@dataclass(slots=True)
class _Link:
    """The connections, which belong to one event loop."""

    loop: asyncio.AbstractEventLoop
    client: openai.AsyncOpenAI
    owner: AsyncGenerator[None]
    slots: asyncio.Semaphore
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ChatServer:
    """Sends requests to the server at `url` with the key in the environment variable `api_key_env`.

    At most `concurrency` requests are under way, and at most `requests_per_minute` begin in any minute. An
    attempt may take `attempt_timeout_s` seconds; after its first failure, a request is tried again for up to
    `patience_s` seconds. Raises `ConfigError` for an address or key that cannot be one.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key_env: str,
        requests_per_minute: int | None,
        concurrency: int,
        attempt_timeout_s: float,
        patience_s: float,
        first_wait_s: float,
    ) -> None:
        self.url = _address(url)
        self.retries = 0
        self._api_key_env = api_key_env
        self._key = _key(api_key_env)
        self._pace = Pace(requests_per_minute)
        self._concurrency = concurrency
        self._attempt_timeout_s = attempt_timeout_s
        self._patience_s = patience_s
        self._first_wait_s = first_wait_s
        self._link: _Link | None = None
        self._has_answered = False

    @asynccontextmanager
    async def one_by_one(self) -> AsyncGenerator[None]:
        """Let one caller at a time through: to find out once what all want to know."""
        async with (await self._linked()).lock:
            yield

    async def listing(self) -> Listing | None:
        """Return what the server serves, in one attempt; None where it does not say.

        Raises `ConfigError` where nothing answers, where what answers is no such API, or refuses the key.
        """
        try:
            data = await self._get(self.url)
        except _Passing as failure:
            raise ConfigError(f"No OpenAI-compatible API answers at {self.url}: {failure}.") from None
        if data is not None:
            return data
        if not self.url.endswith("/v1"):
            try:
                below = await self._get(f"{self.url}/v1")
            except _Passing:
                below = None
            if below is not None:
                raise ConfigError(
                    f"There is no OpenAI-compatible API at {self.url}. Did you mean {self.url}/v1?"
                )
        return None

    async def complete(self, body: dict[str, Any], seed: int, max_tokens: int) -> Answer:
        """Return the answer to a chat request. Raises `ContextOverflow` where it is too long for the model."""
        loop = asyncio.get_running_loop()
        give_up: float | None = None
        attempt = 0
        while True:
            try:
                return read_answer(await self._post(body), max_tokens)
            except (_Passing, Unreadable) as failure:
                now = loop.time()
                give_up = now + self._patience_s if give_up is None else give_up
                asked = failure.wait_s if isinstance(failure, _Passing) else 0.0
                wait = max(asked, back_off_s(attempt, seed, first_s=self._first_wait_s))
                attempt += 1
                if now + wait > give_up:
                    raise InferenceFault(self._given_up(attempt, failure, asked)) from None
                if asked:
                    self._pace.hold(asked)
            self.retries += 1
            await asyncio.sleep(wait)

    def _given_up(self, attempts: int, failure: Exception, asked: float) -> str:
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        told = f", asking to be left alone for {asked:g} s" if asked else ""
        return (
            f"{self.url} gave no completion in {tries}; the last met {failure}{told}. See to the server, or give "
            f"it more time than patience_s = {self._patience_s:g}."
        )

    async def _post(self, body: dict[str, Any]) -> Any:
        link = await self._linked()
        async with link.slots:
            await self._pace.turn()
            try:
                async with asyncio.timeout(self._attempt_timeout_s):
                    data = await link.client.post("/chat/completions", cast_to=object, body=body)
            except openai.APIStatusError as error:
                await self._refused(self._read(error), str(body["model"]))
            except UnicodeEncodeError as error:
                raise InferenceFault(f"A message has characters that UTF-8 cannot write: {error}.") from None
            except (openai.APIConnectionError, TimeoutError, ValueError) as error:
                raise self._passing(error) from None
        self._has_answered = True
        return data

    async def _get(self, url: str) -> Listing | None:
        link = await self._linked()
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                data: Any = await link.client.get(f"{url}/models", cast_to=object)
        except openai.APIStatusError as error:
            refusal = self._read(error)
            match refusal.meaning:
                case Meaning.KEY | Meaning.QUOTA:
                    self._blame_caller(refusal)
                case Meaning.AGAIN:
                    raise _Passing(refusal.said) from None
                case _:
                    return None
        except (openai.APIConnectionError, TimeoutError, ValueError) as error:
            raise self._passing(error) from None
        try:
            return Listing(
                [str(entry["id"]) for entry in data["data"]],
                {str(entry.get("owned_by")) for entry in data["data"]},
            )
        except (AttributeError, KeyError, TypeError):
            return None

    def _read(self, error: openai.APIStatusError) -> Refusal:
        return read_refusal(error.status_code, error.body, error.response.headers, self._key)

    def _passing(self, error: Exception) -> _Passing:
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return _Passing(f"no answer within {self._attempt_timeout_s:g} s")
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__ or error
            reason = clean(str(cause) or type(cause).__name__, self._key)
            return _Passing(f"a failed connection ({reason})")
        return _Passing("a response that is no JSON")

    async def _refused(self, refusal: Refusal, model: str) -> NoReturn:
        match refusal.meaning:
            case Meaning.AGAIN:
                raise _Passing(refusal.said, refusal.retry_after_s) from None
            case Meaning.CONTEXT:
                raise ContextOverflow(refusal.said) from None
            case Meaning.MODEL | Meaning.ADDRESS:
                raise ConfigError(await self._no_such_model(refusal, model)) from None
            case Meaning.REQUEST if self._has_answered:
                raise InferenceFault(f"{self.url} does not take this request: {refusal.said}.") from None
            case _:
                self._blame_caller(refusal)

    def _blame_caller(self, refusal: Refusal) -> NoReturn:
        match refusal.meaning:
            case Meaning.KEY if not self._key:
                advice = f"wants an API key ({refusal.said}); set {self._api_key_env}."
            case Meaning.KEY:
                advice = f"refuses the API key in {self._api_key_env} ({refusal.said}); check that it is the right one."
            case Meaning.QUOTA:
                advice = f"has no quota left for the key in {self._api_key_env} ({refusal.said}); see to the account."
            case _:
                advice = f"does not take such requests: {refusal.said}."
        raise ConfigError(f"{self.url} {advice}") from None

    async def _no_such_model(self, refusal: Refusal, model: str) -> str:
        try:
            listing = await self.listing()
        except ConfigError as error:
            return str(error)
        if listing is None:
            return f"There is no OpenAI-compatible API at {self.url} ({refusal.said}); check the address."
        if model in listing.models:
            return f"{self.url} lists {model!r}, but does not take chat requests for it: {refusal.said}."
        more = f" and {len(listing.models) - _LISTED} more" if len(listing.models) > _LISTED else ""
        names = ", ".join(listing.models[:_LISTED]) or "none"
        return f"Unknown model {model!r} at {self.url}.{did_you_mean(model, listing.models)} Known: {names}{more}."

    async def _linked(self) -> _Link:
        """Return the connections of the running event loop, made when it first asks; its end closes them."""
        loop = asyncio.get_running_loop()
        if self._link is None or self._link.loop is not loop:
            # A key there must be: without one the client would look for others in the environment.
            client = openai.AsyncOpenAI(
                api_key=self._key or "none", base_url=self.url, timeout=None, max_retries=0
            )
            owner = _closing(client)
            self._link = _Link(loop, client, owner, asyncio.Semaphore(self._concurrency))
            await anext(owner)
        return self._link


async def _closing(client: openai.AsyncOpenAI) -> AsyncGenerator[None]:
    # An event loop that ends closes the asynchronous generators that began on it: the one notice it gives.
    try:
        yield
    finally:
        await client.close()


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "The address of an endpoint has no user, password, query or fragment; the key comes from the "
            "environment."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"An endpoint's address looks like http://127.0.0.1:8000/v1, got {url!r}.")
    return url.rstrip("/")


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{variable} holds no API key: it has characters that no header can carry.")
    return key
