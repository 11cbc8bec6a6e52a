"""An exchange that rules can act upon, with what they did to it written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common import model
from common.acl.absent import AbsentExchange
from common.acl.environment import CompileEnvironment
from common.acl.facts_world import StickEntry, StickTable
from common.acl.types import Typed
from common.rules.parse import parse_action
from common.rules.rulesets import Ruleset
from tests.common.acl.fakes import FakeWorld, proxy, server
from worker.http.answers import Answer, built_in
from worker.http.editor import RequestEditor, ResponseEditor
from worker.http.head import Limits, parse_request, parse_response
from worker.http.message import Request, Response
from worker.route.actions import compile_action
from worker.route.subject import Subject
from worker.route.verdicts import Verdict

REQUEST = b"GET /path?q=1 HTTP/1.1\r\nHost: a.example\r\nX-One: 1\r\nX-One: 2\r\nX-List: a, b ,c\r\nCookie: A=1; SID=abc\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: SID=xyz; path=/\r\nContent-Length: 0\r\n\r\n"


def read_request(raw: bytes = REQUEST) -> Request:
    found = parse_request(raw, 0, Limits())
    assert found is not None
    return found[0]


def read_response(raw: bytes = RESPONSE) -> Response:
    found = parse_response(raw, 0, Limits(), b"GET")
    assert found is not None
    return found[0]


class FakeSubject(AbsentExchange):
    """Answers Subject. told: what went out of it, in order."""

    def __init__(self, request: bytes | None = REQUEST, response: bytes | None = RESPONSE) -> None:
        super().__init__(world=FakeWorld())
        self.head = None if request is None else read_request(request)
        self.response_head = None if response is None else read_response(response)
        self.request = self.head  # type: ignore[assignment]
        self.response = self.response_head  # type: ignore[assignment]
        self.log_level: int | None = None
        self.l7_retry_disabled = False
        self.idempotent_rule: bool | None = None
        self.rewriting_is_lenient = False
        self.early_hints: list[tuple[bytes, bytes]] | None = None
        self.lengths: tuple[int, ...] = (8, 4)
        self.request_captures = [None, None]
        self.response_captures = [None, None]
        self.last_rule: model.Place | None = None
        self.current_rule: model.Place | None = None
        self.source: tuple[bytes, int] = (b"\x7f\0\0\1", 1234)
        self.destination: tuple[bytes, int] = (b"\x7f\0\0\2", 80)
        self.timeouts: dict[str, float] = {}
        self.entries: dict[int, StickEntry] = {}
        self.told: list[tuple[object, ...]] = []

    @property
    def fake_world(self) -> FakeWorld:
        assert isinstance(self.world, FakeWorld)
        return self.world

    @property
    def src(self) -> bytes:
        return self.source[0]

    @property
    def src_port(self) -> int:
        return self.source[1]

    @property
    def dst(self) -> bytes:
        return self.destination[0]

    @property
    def dst_port(self) -> int:
        return self.destination[1]

    def edit_request(self) -> RequestEditor:
        if not isinstance(self.request, RequestEditor):
            assert self.head is not None
            self.request = RequestEditor(self.head)
        return self.request

    def edit_response(self) -> ResponseEditor:
        if not isinstance(self.response, ResponseEditor):
            assert self.response_head is not None
            self.response = ResponseEditor(self.response_head)
        return self.response

    @property
    def is_edited(self) -> bool:
        return isinstance(self.request, RequestEditor) or isinstance(self.response, ResponseEditor)

    def error_answer(self, status: int) -> Answer:
        return built_in(status)

    def capture_lengths(self, response: bool) -> Sequence[int]:
        return self.lengths

    def set_source(self, address: bytes, port: int) -> None:
        self.source = (address, port)

    def set_destination(self, address: bytes, port: int) -> None:
        self.destination = (address, port)

    def set_timeout(self, name: str, seconds: float) -> None:
        self.timeouts[name] = seconds

    def tracked(self, index: int) -> StickEntry | None:
        return self.entries.get(index)

    def track(self, index: int, table: StickTable, key: Typed) -> None:
        entry = table.begin(key, asked=True)
        if entry is not None:
            self.entries[index] = entry

    def set_socket_option(self, option: str, value: int, *, to_server: bool) -> None:
        self.told.append((option, value, to_server))

    def count_failed_rewriting(self) -> None:
        self.told.append(("rewriting failed",))

    def log_now(self, profile: str) -> None:
        self.told.append(("log", profile))


def environment(**fields: object) -> CompileEnvironment:
    """In a listen section with a table and two slots each way."""
    own = proxy(
        "site",
        mode="http",
        servers=[server("s1"), server("s2")],
        stick_table=("type", "ip"),
        captures=[("request", "host", 8), ("request", "", 4), ("response", "server", 8), ("response", "", 4)],
        **fields,
    )
    return CompileEnvironment(proxy=own, config=model.Config(proxies=[own]))


def runner(line: str, ruleset: str = "http-request", at: CompileEnvironment | None = None) -> Callable[[Subject], Verdict | None]:
    """The function that carries out an action. line: its words, separated by blanks; "␣" stands for one inside a word."""
    words = [word.replace("␣", " ") for word in line.split()]
    known = at or environment()
    kind = Ruleset(ruleset)
    return compile_action(parse_action(kind, words, known), kind, known)


def run(line: str, subject: FakeSubject, ruleset: str = "http-request") -> Verdict | None:
    return runner(line, ruleset)(subject)
