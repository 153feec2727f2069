"""What requests to a server have come to: tokens and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agentgym.core.errors import ConfigError


class Prices(NamedTuple):
    """What a million tokens cost, in the currency of your choice."""

    prompt: float
    completion: float

    @classmethod
    def parse(cls, text: str) -> Prices:
        """Read `PROMPT,COMPLETION`; raises `ConfigError` for anything else.

        >>> Prices.parse("0.25,2")
        Prices(prompt=0.25, completion=2.0)
        """
        try:
            prompt, completion = (float(part) for part in text.split(","))
        except ValueError:
            prompt = completion = -1.0
        if not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
            raise ConfigError(
                "Prices are two numbers, for a million prompt tokens and a million completion tokens, such as "
                f"0.25,2; got {text!r}."
            )
        return cls(prompt, completion)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what so many tokens cost; discounts for cached prompts are not known here."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(slots=True)
class Usage:
    """Requests that were answered, and the tokens that the server counted for them."""

    requests: int = 0
    retries: int = 0
    """Attempts that failed and were made again."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def cost(self, prices: Prices) -> float:
        """Return what the tokens cost (`Prices.cost`)."""
        return prices.cost(self.prompt_tokens, self.completion_tokens)

    def told(self, prices: Prices | None) -> str:
        """Return the figures as one line.

        >>> Usage(12, 1, 3400, 210).told(Prices(0.25, 2.0))
        '12 requests (1 retry), 3,400 prompt tokens, 210 completion tokens, cost 0.0013'
        """
        again = f" ({self.retries:,} {'retry' if self.retries == 1 else 'retries'})" if self.retries else ""
        tokens = f"{self.prompt_tokens:,} prompt tokens, {self.completion_tokens:,} completion tokens"
        cost = f", cost {self.cost(prices):.4f}" if prices is not None else ""
        return f"{self.requests:,} requests{again}, {tokens}{cost}"
