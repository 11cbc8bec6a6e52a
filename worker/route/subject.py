"""What actions may do to an exchange: the doing side of common/acl/facts.py. Sans-io.

worker/facts.py and worker/exchange.py implement it. Before there is an exchange (tcp-request connection and session) an empty
one stands for the client's connection, and what is set goes to the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from common import model
from common.acl.facts import Facts
from common.acl.facts_world import StickTable
from common.acl.types import Typed
from worker.http.answers import Answer
from worker.http.editor import RequestEditor, ResponseEditor


class Subject(Facts, Protocol):
    """See the module."""

    # Plain attributes of an exchange that rules set.
    last_rule: model.Place | None
    current_rule: model.Place | None
    log_level: int | None
    priority_class: int
    priority_offset: int
    retries_max: int | None
    l7_retry_disabled: bool
    idempotent_rule: bool | None
    rewriting_is_lenient: bool  # `strict-mode off`
    request_captures: Any  # a list where there are slots
    response_captures: Any
    early_hints: list[tuple[bytes, bytes]] | None

    def capture_lengths(self, response: bool) -> Sequence[int]:
        """By slot: how much the frontend keeps of what is captured."""

    def edit_request(self) -> RequestEditor: ...

    def edit_response(self) -> ResponseEditor: ...

    def error_answer(self, status: int) -> Answer:
        """The error page for a status: the backend's, the frontend's, the built-in one."""

    def set_source(self, address: bytes, port: int) -> None: ...

    def set_destination(self, address: bytes, port: int) -> None: ...

    def set_timeout(self, name: str, seconds: float) -> None: ...

    def track(self, index: int, table: StickTable, key: Typed) -> None:
        """The table's entry for the key is what `tracked(index)` gives from now on."""

    def set_socket_option(self, option: str, value: int, *, to_server: bool) -> None:
        """ "mark" or "tos" of the client's connection, or of the one to the server when it comes. Failures are silent."""

    def count_failed_rewriting(self) -> None: ...

    def log_now(self, profile: str) -> None:
        """`do-log`."""
