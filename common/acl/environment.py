"""What a compiler of the rule language must know of the configuration around an expression. Sans-io.

`Where` says at which moment the expression will run, `Needs` what a fetch depends on; `Where.offers` joins them. Asking for what is
not there yet (a response header in an http-request rule) is found when the configuration is read, not by surprise later.

Source: HAProxy configuration manual 7.3 ("usable in…"), and the keyword dump that `haproxy -dK` documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from common import model
from common.acl.maps import MapStore
from common.acl.passwords import Userlist


class Needs(Enum):
    """What a fetch depends on; the value is how messages call it."""

    NOTHING = "nothing"
    CLIENT = "the client's connection"
    LISTENER = "the listening socket"
    CLIENT_TLS = "the client's TLS session"
    REQUEST_BYTES = "the request's contents"
    REQUEST = "the request's head"
    REQUEST_KEPT = "the request"  # what stays known until the log line
    BACKEND = "the backend"
    SERVER = "the server"
    SERVER_CONNECTION = "the connection to the server"
    RESPONSE_BYTES = "the response's contents"
    RESPONSE = "the response's head"
    RESPONSE_KEPT = "the response"  # what stays known until the log line
    CONTENT = "a request or a response"  # whichever is at hand


_CONNECTION = frozenset({Needs.NOTHING, Needs.CLIENT, Needs.LISTENER})
_SESSION = _CONNECTION | {Needs.CLIENT_TLS}
_REQUEST = _SESSION | {Needs.REQUEST_BYTES, Needs.REQUEST, Needs.REQUEST_KEPT, Needs.CONTENT}
_LOG = _SESSION | {Needs.REQUEST_KEPT, Needs.BACKEND, Needs.SERVER, Needs.SERVER_CONNECTION, Needs.RESPONSE_KEPT}
_RESPONSE = _LOG | {Needs.RESPONSE_BYTES, Needs.RESPONSE, Needs.CONTENT}


class Where(Enum):
    """The moments at which an expression can run."""

    START = "the configuration"  # global set-var: nothing but the process
    CONNECTION = "tcp-request connection"
    SESSION = "tcp-request session"
    REQUEST_CONTENT = "tcp-request content"
    REQUEST = "http-request"
    SERVER_CHOICE = "the server line"  # sni, source, TLVs: the server is known, its connection not yet
    RESPONSE_CONTENT = "tcp-response content"
    RESPONSE = "http-response"
    LOG = "log-format"
    CHECK = "a health check"

    @property
    def offers(self) -> frozenset[Needs]:
        return _OFFERS[self]

    @property
    def is_response(self) -> bool:
        """The direction that `hdr`, `cookie` and `payload` take here."""
        return self in _RESPONSE_SIDE


_RESPONSE_SIDE = frozenset({Where.RESPONSE_CONTENT, Where.RESPONSE, Where.CHECK})

_OFFERS: Mapping[Where, frozenset[Needs]] = {
    Where.START: frozenset({Needs.NOTHING}),
    Where.CONNECTION: _CONNECTION,
    Where.SESSION: _SESSION,
    Where.REQUEST_CONTENT: _REQUEST,
    Where.REQUEST: _REQUEST,
    Where.SERVER_CHOICE: _REQUEST | {Needs.BACKEND, Needs.SERVER},
    Where.RESPONSE_CONTENT: _RESPONSE,
    Where.RESPONSE: _RESPONSE,
    Where.LOG: _LOG,
    Where.CHECK: frozenset(
        {Needs.NOTHING, Needs.CLIENT, Needs.BACKEND, Needs.SERVER, Needs.SERVER_CONNECTION}
        | {Needs.RESPONSE_BYTES, Needs.RESPONSE, Needs.RESPONSE_KEPT, Needs.CONTENT}
    ),
}


def _no_file(path: str) -> bytes:
    raise OSError(f"{path}: files are not read here")


@dataclass(slots=True)
class CompileEnvironment:
    """Where an expression stands, and what it may refer to.

    config: to check names of proxies, servers, tables and userlists; None switches those checks off.
    read_file: contents of a pattern, map or answer file; raises OSError. The only way to the disk that compilers have.
    warnings: sentences for the operator about what is odd but allowed; compilers append.
    variables_set, variables_read: every variable that any rule sets or reads, "txn.name"; for reporting those never set.
    added_captures and criteria belong to one proxy: give each proxy's environment its own.
    """

    where: Where = Where.REQUEST
    proxy: model.Proxy | None = None
    config: model.Config | None = None
    read_file: Callable[[str], bytes] = _no_file
    maps: MapStore = field(default_factory=MapStore)
    keys: dict[bytes, Any] = field(default_factory=dict)  # public keys that jwt_verify names, by file name
    userlists: dict[str, Userlist] = field(default_factory=dict)  # living ones, made as expressions name them
    acls: Mapping[str, Sequence[model.Acl]] = field(default_factory=dict)  # the proxy's named ones, for the `acl()` fetch
    warnings: list[str] = field(default_factory=list)
    added_captures: list[int] = field(default_factory=list)  # lengths of the request slots that rules of this proxy add
    variables_set: set[str] = field(default_factory=set)
    variables_read: set[str] = field(default_factory=set)
    place: model.Place | None = None  # of the rule, for descriptions
    criteria: dict[tuple[int, Where], Any] = field(default_factory=dict)  # compiled `acl` lines, by identity and moment
    debug: Callable[[str, bytes], None] | None = None  # where the `debug` converter and `do-log` tell: (sink, line)

    @property
    def http(self) -> bool:
        """The proxy speaks HTTP; unknown proxies are taken to."""
        return self.proxy is None or self.proxy.mode == "http"

    def offers(self, needs: Needs) -> bool:
        """What `needs` names is known at this moment. A backend is also known where its own section says the rule."""
        if needs is Needs.BACKEND and self.proxy is not None and self.proxy.backend:
            return self.where not in (Where.START, Where.CONNECTION, Where.SESSION)
        return needs in self.where.offers

    def at(self, where: Where) -> CompileEnvironment:
        """The same surroundings at another moment; warnings and variables are shared."""
        return replace(self, where=where)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def proxy_named(self, name: str, *, backend: bool) -> bool:
        """Whether such a proxy exists (or cannot be checked)."""
        return self.config is None or self.config.proxy(name, backend=backend) is not None
