"""What a parsed head is: of a request, of a response. Sans-io.

Heads are shared between exchanges (worker/http/head.py remembers them) and never change, but for what they find out about
themselves on demand: fields and values are cut from `raw` when first asked for.

Source: RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

from worker.http.framing import NO_BODY, BodyPlan, KeepAlive, keep_alive_hints
from worker.http.grammar import FIELD


class Head:
    """What requests and responses share.

    special: lower-case name -> value of the fields that mean something for the message itself, repeated ones joined by ", ".
    faulty: framing that invites two readings; keep_alive is False for it. length_as_is: see framing.Framing.
    forwarded: what goes on, without what an exchange adds; made by worker/http/rewrite.py once for all who share this head.
    """

    __slots__ = ("_fields", "_found", "_lower", "body", "faulty", "forwarded", "keep_alive", "length_as_is", "raw", "special", "version")

    raw: bytes
    version: int
    special: dict[bytes, bytes]
    body: BodyPlan
    keep_alive: bool
    faulty: bool
    length_as_is: bool
    forwarded: bytes | None
    _fields: list[tuple[bytes, bytes]] | None
    _lower: bytes | None
    _found: dict[bytes, list[bytes]] | None  # by name: only names that the configuration asks for, and heads are asked again and again

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """(name as received, value without OWS) in order."""
        fields = self._fields
        if fields is None:
            self._fields = fields = [(name, value.rstrip(b" \t")) for name, value in FIELD.findall(self.raw)]
        return fields

    def values(self, name_lower: bytes) -> list[bytes]:
        """Every value of the field of that name, in order. Not to be changed."""
        known = self._found
        if known is None:
            known = self._found = {}
        found = known.get(name_lower)
        if found is None:
            found = known[name_lower] = self._search(name_lower)
        return found

    def _search(self, name_lower: bytes) -> list[bytes]:
        lower = self._lower
        if lower is None:
            self._lower = lower = self.raw.lower()
        needle = b"\n" + name_lower + b":"
        at = lower.find(needle)
        found = []
        while at >= 0:
            at += len(needle)
            end = self.raw.index(b"\r", at)
            found.append(self.raw[at:end].strip(b" \t"))
            at = lower.find(needle, end)
        return found

    def has(self, name_lower: bytes) -> bool:
        """Whether there is a field of that name."""
        return bool(self.values(name_lower))

    def first(self, name_lower: bytes) -> bytes | None:
        """The first value of the field of that name."""
        found = self.values(name_lower)
        return found[0] if found else None


class Request(Head):
    """A request that was accepted.

    host: value of Host, normalised; that of the target's authority if there is no field; None if there is neither.
    upgrade: the protocols asked for, as they may be forwarded; None where that is not asked, or not to be granted.
    expect_continue: the client waits for 100 before it sends the body. te_trailers: it takes trailers.
    """

    __slots__ = ("expect_continue", "host", "is_connect", "method", "target", "te_trailers", "upgrade")

    def __init__(  # flat, one call: this is made for each head that is not known
        self,
        raw: bytes,
        method: bytes,
        target: bytes,
        version: int,
        host: bytes | None,
        special: dict[bytes, bytes],
        body: BodyPlan = NO_BODY,
        keep_alive: bool = True,
        faulty: bool = False,
        length_as_is: bool = True,
        forwarded: bytes | None = None,
        upgrade: bytes | None = None,
        expect_continue: bool = False,
        te_trailers: bool = False,
    ) -> None:
        self.raw = raw
        self.method = method
        self.target = target
        self.version = version
        self.host = host
        self.special = special
        self.body = body
        self.keep_alive = keep_alive
        self.faulty = faulty
        self.length_as_is = length_as_is
        self.upgrade = upgrade
        self.expect_continue = expect_continue
        self.te_trailers = te_trailers
        self.is_connect = method == b"CONNECT"
        self.forwarded = forwarded
        self._fields = self._lower = self._found = None


class Response(Head):
    """A response that was accepted. interim: 1xx other than 101: another head follows. upgrade: the protocol a 101 switches to.

    tells_pool: it says something of what its connection may be used for: how long, or for whom.
    """

    __slots__ = ("interim", "reason", "status", "tells_pool", "upgrade")

    def __init__(
        self,
        raw: bytes,
        status: int,
        reason: bytes,
        version: int,
        special: dict[bytes, bytes],
        body: BodyPlan,
        keep_alive: bool,
        faulty: bool = False,
        length_as_is: bool = True,
    ) -> None:
        self.raw = raw
        self.status = status
        self.reason = reason
        self.version = version
        self.special = special
        self.body = body
        self.keep_alive = keep_alive
        self.faulty = faulty
        self.length_as_is = length_as_is
        self.forwarded = self._fields = self._lower = self._found = None
        self.tells_pool = status == 401 or status == 407 or b"keep-alive" in special
        self.interim = status < 200 and status != 101
        self.upgrade = special.get(b"upgrade") if status == 101 else None

    @property
    def keep_alive_hints(self) -> KeepAlive:
        """What the server says of how long it will keep this connection."""
        return keep_alive_hints(self.special.get(b"keep-alive"))
