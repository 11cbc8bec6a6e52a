"""Scripted conversations: a client on one side of the program, a server on the other, and what each must see.

A story is text, one step a line:

    client << GET / HTTP/1.1|Host: a||              the client sends (opens its connection first, if it has none)
    server >> GET / HTTP/1.1|Host: a||              the server receives exactly this message (accepts first)
    server << HTTP/1.1 200 OK|Content-Length: 2||ok
    client >> HTTP/1.1 200 OK|Content-Length: 2||ok
    client >> eof

Actors. A name that starts with `client` connects to <listen:client>; any other name is a scripted server, <server:NAME>.
A number at the end means another connection of the same kind: `client2`, `server2`. The first step of a server's
connection accepts it, so naming `server` again claims that the program reused the connection.

Steps with `<<`, bytes to the program:
    << TEXT          a message (see messages.py for how it is written)
    <<1 TEXT         the same, each byte in a segment of its own
    << half-close | close | reset | connect          what it says; `connect` opens and sends nothing
    << *N TEXT       TEXT repeated N times
Steps with `>>`, what arrives:
    >> TEXT          one whole HTTP message, compared as messages.py says
    >> bytes TEXT    exactly these bytes
    >> eof | reset | end        the stream ends (end: either way)
    >> silence N     nothing at all for N seconds
    >> connect       a connection arrives, with or without bytes
A line that begins with `|` goes on with the one before. `#` begins a comment.

And `log >> REGEX`: a line in the log that matches after this listener's name (or, with ^, from its beginning).
`wait N`: a stimulus, never a synchronisation.

At the end no connection may be left that the story does not know of.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.flows.messages import differences, expected, receive, wire
from tests.flows.peers import Listener, Peer
from tests.flows.syslog import SyslogReceiver

_STEP = re.compile(r"(\w+) +(<<1?|>>) ?(.*)")


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    actor: str
    verb: str
    text: str

    def __str__(self) -> str:
        return f"step {self.number}: {self.actor} {self.verb} {self.text[:120]}"


@dataclass(slots=True)
class Scene:
    """What a story plays on: ways to open a client, to find a server, and to read the log of one listener."""

    connect: Callable[[str], Peer]
    server: Callable[[str], Listener]
    log: SyslogReceiver
    log_name: str
    server_tls: ssl.SSLContext | None = None
    peers: dict[str, Peer] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)


def parse(story: str) -> list[Step]:
    steps = []
    lines = [line.lstrip() for line in re.sub(r"\n\s*\|", "|", story).splitlines()]
    for number, line in enumerate((line for line in lines if line and not line.startswith("#")), start=1):
        if line.startswith("wait "):
            steps.append(Step(number, "", "wait", line[5:]))
            continue
        match = _STEP.fullmatch(line)
        if not match:
            raise ValueError(f"step {number} is no step: {line!r}")
        steps.append(Step(number, match[1], match[2], match[3]))
    return steps


def play(story: str, scene: Scene) -> None:
    """Plays all steps; AssertionError names the step that went otherwise. Closes what the story opened."""
    __tracebackhide__ = True
    steps = parse(story)
    try:
        for step in steps:
            try:
                _play_step(step, scene)
            except (AssertionError, OSError) as error:
                raise AssertionError(f"{step}\n  {error}") from None
        for name in {_kind(step.actor) for step in steps} - {"", "log", "client"}:
            assert scene.server(name).idle(), f"a connection to {name!r} that the story does not know"
    finally:
        for peer in scene.peers.values():
            peer.close()
        for name in {_kind(step.actor) for step in steps} - {"", "log", "client"}:
            scene.server(name).drop_waiting()


def _play_step(step: Step, scene: Scene) -> None:
    if step.verb == "wait":
        time.sleep(float(step.text))
    elif step.actor == "log":
        anywhere = step.text.startswith("^") or not scene.log_name
        scene.log.expect(step.text if anywhere else f"{scene.log_name}[ ~/].*(?:{step.text})")
    elif step.verb == ">>":
        _receive_step(step, _peer(step.actor, scene), scene)
    else:
        _send_step(step, _peer(step.actor, scene), scene)


def _send_step(step: Step, peer: Peer, scene: Scene) -> None:
    acts = {"connect": lambda: None, "half-close": peer.half_close, "close": peer.close, "reset": peer.reset}
    if step.text in acts:
        acts[step.text]()
        return
    text, times = step.text, 1
    if match := re.match(r"\*(\d+) ", text):
        times, text = int(match[1]), text[match.end() :]
    data = wire(text) * times
    if step.actor.startswith("client"):
        scene.methods.setdefault(step.actor, []).extend(re.findall(r"(?:^|\|\|)([A-Z]+) [^|]* HTTP/1\.[01](?=\|)", text))
    (peer.send_bytewise if step.verb == "<<1" else peer.send)(data)


def _receive_step(step: Step, peer: Peer, scene: Scene) -> None:
    kind, _, rest = step.text.partition(" ")
    if step.text == "connect":
        return
    if step.text in ("eof", "reset", "end"):
        how = peer.ends()
        assert how == step.text or (step.text == "end" and how != "more"), f"{peer.name} got {how} {peer.unread[:300]!r}"
    elif kind == "silence":
        assert peer.silent_for(float(rest)), f"{peer.name} got {peer.receive_some()[:300]!r}"
    elif kind == "bytes":
        wanted = wire(rest)
        got = peer.receive_exactly(len(wanted))
        assert got == wanted, f"{peer.name} got {got[:500]!r}"
    else:
        wanted_message, exact = expected(step.text)
        methods = scene.methods.get(step.actor, [])
        got_message = receive(peer, method=methods[0] if methods else "")
        if methods and got_message.status >= 200:
            methods.pop(0)
        wrong = differences(got_message, wanted_message, exact=exact)
        assert not wrong, "\n  ".join(wrong)


def _peer(actor: str, scene: Scene) -> Peer:
    if actor not in scene.peers:
        kind = _kind(actor)
        scene.peers[actor] = scene.connect(actor) if kind == "client" else _accept(actor, scene)
    return scene.peers[actor]


def _accept(actor: str, scene: Scene) -> Peer:
    peer = scene.server(_kind(actor)).accept(actor)
    return Peer(scene.server_tls.wrap_socket(peer.socket, server_side=True), actor) if scene.server_tls else peer


def _kind(actor: str) -> str:
    return "client" if actor.startswith("client") else actor.rstrip("0123456789")
