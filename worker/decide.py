"""Rules at work: what they decide about a connection, a request, a response.

The pure part says what is to be done (worker/route); here it is done, and what takes time is waited for.
Source: HAProxy manual 4.2 "http-request", "http-response", "tcp-request content".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.http.answers import Answer

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.proxies import Backend
    from worker.route.rules import Rules
    from worker.session import Session


async def request(exchange: Exchange, rules: Rules) -> Answer | None:
    """Run the http-request rules of one proxy. An answer: the exchange ends with it."""
    raise NotImplementedError


async def response(exchange: Exchange, backend: Backend) -> Answer | None:
    """Run the http-response rules of the backend, then of the frontend. An answer takes the response's place."""
    raise NotImplementedError


def after_response(exchange: Exchange) -> None:
    """Run the http-after-response rules on whatever goes to the client."""
    raise NotImplementedError


def admit(session: Session, rules: tuple[Any, ...]) -> bool:
    """Run `tcp-request connection` or `session` rules. False: the connection is refused."""
    raise NotImplementedError


async def tcp(exchange: Exchange) -> Backend | None:
    """Mode tcp: content rules, then the backend. None: refused."""
    rules = exchange.frontend.rules
    chosen: Backend | None = rules.choose_backend(exchange) if rules.switching else exchange.frontend.default_backend
    return chosen
