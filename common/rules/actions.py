"""What rules can do, as values: one small dataclass per family, with everything compiled inside. Sans-io.

`common/rules/parse.py` makes them from words; the worker turns each into a function once (worker/route/actions.py). `final` on a
class says that the ruleset ends there when the rule's condition holds.

Source: HAProxy configuration manual 4.2 "http-request" … "tcp-response content".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from common.acl.expressions import Expression
from common.acl.facts import Facts
from common.acl.logformat import Format
from common.acl.types import Typed
from common.rules.replacement import Replacement


class Part(Enum):
    """A part of a request's target. The value is how actions are named: set-path, replace-uri."""

    PATH = "path"
    PATHQ = "pathq"
    QUERY = "query"
    URI = "uri"


class Payload(Enum):
    """Where the body of an answer comes from."""

    NONE = ""
    DEFAULT = "default-errorfiles"
    ERROR_FILE = "errorfile"
    ERROR_FILES = "errorfiles"
    FILE = "file"
    LF_FILE = "lf-file"
    STRING = "string"
    LF_STRING = "lf-string"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of our own. content: raw bytes of a string or file, or the whole HTTP response of an error file. format: of
    lf-string and lf-file. name: of the file or http-errors section."""

    status: int
    payload: Payload
    content: bytes = b""
    format: Format | None = None
    content_type: bytes | None = None
    headers: tuple[tuple[bytes, Format], ...] = ()
    name: str = ""


class Action:
    """Base of all actions."""

    __slots__ = ()

    final: ClassVar[bool] = False


class FinalAction(Action):
    __slots__ = ()

    final: ClassVar[bool] = True


# --- verdicts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accept(FinalAction):
    """`accept`, `allow`: the ruleset ends, processing goes on."""


@dataclass(frozen=True, slots=True)
class Reject(FinalAction):
    """`reject`: close without an answer."""


@dataclass(frozen=True, slots=True)
class Close(FinalAction):
    """`tcp-response content close`: the server's connection ends."""


@dataclass(frozen=True, slots=True)
class SilentDrop(FinalAction):
    """The client's connection disappears and the client is not told. ttl: instead, a reset that dies after so many routers."""

    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Deny(FinalAction):
    reply: Reply


@dataclass(frozen=True, slots=True)
class Tarpit(FinalAction):
    reply: Reply


@dataclass(frozen=True, slots=True)
class Return(FinalAction):
    reply: Reply


@dataclass(frozen=True, slots=True)
class UseService(FinalAction):
    """`use-service`: something inside the program answers. name: one of SERVICES."""

    name: str


@dataclass(frozen=True, slots=True)
class Authenticate(FinalAction):
    """`auth`: ask for a name and a password."""

    realm: bytes


@dataclass(frozen=True, slots=True)
class Redirect(FinalAction):
    """kind: location, prefix or scheme. Final, unless the location is empty and `ignore_empty` is set."""

    kind: str
    target: Format
    code: int = 302
    drop_query: bool = False
    keep_query: bool = False
    append_slash: bool = False
    ignore_empty: bool = False
    set_cookie: bytes | Format | None = None
    clear_cookie: bytes | None = None


@dataclass(frozen=True, slots=True)
class SwitchMode(FinalAction):
    """`switch-mode http`: what follows on this connection is HTTP."""


@dataclass(frozen=True, slots=True)
class UseBackend(FinalAction):
    name: Format


@dataclass(frozen=True, slots=True)
class UseServer(FinalAction):
    name: Format


# --- waiting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaitForBody(Action):
    """at_least_bytes: 0 = all of it, as far as the buffer goes."""

    time_s: float
    at_least_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WaitForHandshake(Action):
    pass


@dataclass(frozen=True, slots=True)
class Pause(Action):
    """duration_s, or an expression that gives milliseconds."""

    duration_s: float
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class ExpectProxy(Action):
    """`expect-proxy layer4`: as accept-proxy on the bind line."""


# --- heads -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddHeader(Action):
    name: bytes
    value: Format


@dataclass(frozen=True, slots=True)
class SetHeader(Action):
    name: bytes
    value: Format


@dataclass(frozen=True, slots=True)
class DeleteHeader(Action):
    name: bytes


@dataclass(frozen=True, slots=True)
class DeleteHeaders(Action):
    """`del-header NAME -m METHOD`: matches(lower-case name)."""

    method: str
    pattern: str
    matches: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class ReplaceHeader(Action):
    """each_value: replace-value, which sees the members of comma-separated lists."""

    name: bytes
    regex: Any
    replacement: Replacement
    each_value: bool


@dataclass(frozen=True, slots=True)
class EarlyHint(Action):
    name: bytes
    value: Format


@dataclass(frozen=True, slots=True)
class SetMethod(Action):
    method: Format


@dataclass(frozen=True, slots=True)
class SetTarget(Action):
    part: Part
    text: Format


@dataclass(frozen=True, slots=True)
class ReplaceTarget(Action):
    part: Part
    regex: Any
    replacement: Replacement


@dataclass(frozen=True, slots=True)
class NormalizeUri(Action):
    """normalizer: its name, and its option after a blank."""

    normalizer: str


@dataclass(frozen=True, slots=True)
class SetStatus(Action):
    status: int
    reason: bytes | None = None


@dataclass(frozen=True, slots=True)
class StrictMode(Action):
    """off: rewriting that fails is passed over in silence."""

    on: bool


# --- variables, maps, tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetVariable(Action):
    """value: an expression, or a format (set-var-fmt)."""

    name: str
    value: Expression | Format
    assign: Callable[[Facts, Typed], bool]


@dataclass(frozen=True, slots=True)
class UnsetVariable(Action):
    name: str
    unset: Callable[[Facts], None]


@dataclass(frozen=True, slots=True)
class ChangeList(Action):
    """add-acl, del-acl, set-map, del-map. value: of set-map."""

    kind: str
    file: str
    key: Format
    value: Format | None = None


@dataclass(frozen=True, slots=True)
class Track(Action):
    """table: "" = the proxy's own."""

    index: int
    key: Expression
    table: str


@dataclass(frozen=True, slots=True)
class ChangeCounter(Action):
    """On the entry that track-sc`tracked` follows. data: gpc, gpc0, gpc1, gpt, gpt0; index into gpc and gpt.
    operation: add or set. value: a number, or an expression that gives it."""

    operation: str
    data: str
    index: int
    tracked: int
    value: int | Expression


@dataclass(frozen=True, slots=True)
class Capture(Action):
    """slot: of `capture … header` and `declare capture`, or one of the rule's own behind them."""

    expression: Expression
    slot: int


# --- the connection and the exchange ---------------------------------------------------------------------------------


class Side(Enum):
    SOURCE = "src"
    DESTINATION = "dst"


@dataclass(frozen=True, slots=True)
class SetAddress(Action):
    side: Side
    address: Expression


@dataclass(frozen=True, slots=True)
class SetPort(Action):
    side: Side
    port: Expression


@dataclass(frozen=True, slots=True)
class SetSocketOption(Action):
    """option: "mark" or "tos". to_server: of the connection to the server (set-bc-…), else of the client's."""

    option: str
    to_server: bool
    value: int | Expression


@dataclass(frozen=True, slots=True)
class SetNice(Action):
    nice: int


@dataclass(frozen=True, slots=True)
class SetLogLevel(Action):
    """level: 0 (emerg) to 7 (debug); -1: not logged."""

    level: int


@dataclass(frozen=True, slots=True)
class DoLog(Action):
    """profile: a log-profile section, "" = that of the log line."""

    profile: str = ""


@dataclass(frozen=True, slots=True)
class SetPriority(Action):
    """kind: class or offset."""

    kind: str
    value: Expression


@dataclass(frozen=True, slots=True)
class SetTimeout(Action):
    """seconds, or an expression that gives milliseconds."""

    name: str
    seconds: float
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class SetRetries(Action):
    value: int | Expression


@dataclass(frozen=True, slots=True)
class DisableL7Retry(Action):
    pass


@dataclass(frozen=True, slots=True)
class SetIdempotent(Action):
    """Ours: whether this request may be sent again after a failure, whatever its method."""

    on: bool


