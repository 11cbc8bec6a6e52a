"""The rulesets: moments at which rules act, and which actions make sense there. Sans-io.

Source: HAProxy configuration manual 4.2 "tcp-request connection" … "http-after-response", 4.3 (of newer versions).
"""

from __future__ import annotations

from enum import Enum

from common.acl.environment import Where


class Ruleset(Enum):
    """The value is how the configuration and `model.Rule.ruleset` write it."""

    TCP_CONNECTION = "tcp-request connection"
    TCP_SESSION = "tcp-request session"
    TCP_REQUEST = "tcp-request content"
    TCP_RESPONSE = "tcp-response content"
    HTTP_REQUEST = "http-request"
    HTTP_RESPONSE = "http-response"
    HTTP_AFTER_RESPONSE = "http-after-response"
    REDIRECT = "redirect"
    USE_BACKEND = "use_backend"
    USE_SERVER = "use-server"

    @property
    def where(self) -> Where:
        """The moment at which expressions of these rules run."""
        return _WHERE[self]

    @property
    def is_response(self) -> bool:
        return self in _RESPONSES

    @property
    def before_exchange(self) -> bool:
        """The rules act on the client's connection, for all of its requests."""
        return self in _BEFORE_EXCHANGE


_WHERE = {
    Ruleset.TCP_CONNECTION: Where.CONNECTION,
    Ruleset.TCP_SESSION: Where.SESSION,
    Ruleset.TCP_REQUEST: Where.REQUEST_CONTENT,
    Ruleset.TCP_RESPONSE: Where.RESPONSE_CONTENT,
    Ruleset.HTTP_REQUEST: Where.REQUEST,
    Ruleset.HTTP_RESPONSE: Where.RESPONSE,
    Ruleset.HTTP_AFTER_RESPONSE: Where.RESPONSE,
    Ruleset.REDIRECT: Where.REQUEST,
    Ruleset.USE_BACKEND: Where.REQUEST,
    Ruleset.USE_SERVER: Where.REQUEST,
}
_RESPONSES = frozenset({Ruleset.TCP_RESPONSE, Ruleset.HTTP_RESPONSE, Ruleset.HTTP_AFTER_RESPONSE})
_BEFORE_EXCHANGE = frozenset({Ruleset.TCP_CONNECTION, Ruleset.TCP_SESSION})

CONNECTION, SESSION, CONTENT, ANSWER = Ruleset.TCP_CONNECTION, Ruleset.TCP_SESSION, Ruleset.TCP_REQUEST, Ruleset.TCP_RESPONSE
REQUEST, RESPONSE, AFTER = Ruleset.HTTP_REQUEST, Ruleset.HTTP_RESPONSE, Ruleset.HTTP_AFTER_RESPONSE

TCP = (CONNECTION, SESSION, CONTENT, ANSWER)
TCP_REQUESTS = (CONNECTION, SESSION, CONTENT)
HTTP = (REQUEST, RESPONSE, AFTER)
EVERYWHERE = TCP + HTTP
