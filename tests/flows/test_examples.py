"""Every file of deploy/examples, run as it stands, does what it is about: addresses and files come from its variables.

HAProxy runs them too, where its language has the words, so that what is asked for here is HAProxy's behaviour.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flows import certificates
from tests.flows.harness import Flow
from tests.flows.peers import Peer, eventually
from tests.flows.programs import BY_NAME, PROGRAMS
from tests.flows.serving import Serve, ServingThread, greeting, over_tls, web

FOLDER = Path(__file__).parents[2] / "deploy" / "examples"
OURS = ("seed003", "two-tiers", "two-applications")  # process N, pass-fd, rename


@dataclass(frozen=True)
class Example:
    """variables: name -> place. servers: variable -> what serves there; it gets a place by itself."""

    ask: Callable[[Flow], None]
    variables: dict[str, str]
    servers: dict[str, Callable[[Path], Serve]]


EXAMPLES: dict[str, Example] = {}
Asking = Callable[[Flow], None]


def example(name: str, servers: dict[str, Callable[[Path], Serve]], **variables: str) -> Callable[[Asking], Asking]:
    def register(ask: Asking) -> Asking:
        EXAMPLES[name] = Example(ask, variables, servers)
        return ask

    return register


def webs(*names: str) -> dict[str, Callable[[Path], Serve]]:
    """HTTP servers that call themselves as their variables."""
    return {name: lambda _folder, name=name: web(name) for name in names}  # type: ignore[misc]


def greeters(*names: str) -> dict[str, Callable[[Path], Serve]]:
    return {name: lambda _folder, name=name: greeting(name) for name in names}  # type: ignore[misc]


def tls_greeter(name: str, file: str) -> Callable[[Path], Serve]:
    return lambda folder: over_tls(certificates.server_context(folder, file), greeting(name))


HTTP = "<listen:http>"
HTTPS = "<listen:https>"
PEM = "<file:localhost.pem>"


@dataclass(frozen=True)
class Reply:
    status: int
    fields: dict[str, str]
    body: str


def ask(peer: Peer, path: str, *fields: str, method: str = "GET") -> Reply:
    lines = [f"{method} {path} HTTP/1.1", *fields]
    if not any(field.lower().startswith("host:") for field in fields):
        lines.append("Host: example.org")
    peer.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    head = peer.receive_until(b"\r\n\r\n").decode()
    status, *rest = head.rstrip().split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = peer.receive_exactly(int(found.get("content-length", "0"))).decode()
    return Reply(int(status.split(" ")[1]), found, body)


def get(flow: Flow, path: str, *fields: str) -> Reply:
    return ask(flow.connect("http"), path, *fields)


def get_tls(flow: Flow, path: str, *fields: str) -> Reply:
    return ask(flow.connect_tls("https", certificates.client_context(flow.folder)), path, *fields)


@example("api-gateway", webs("USERS", "ORDERS"), HTTP=HTTP, API_KEY="secret")
def api_gateway(flow: Flow) -> None:
    key = "X-Api-Key: secret"
    assert (get(flow, "/health").status, get(flow, "/health").body) == (200, '{"status":"up"}')
    assert (get(flow, "/users/7").status, get(flow, "/users/7").body) == (401, '{"error":"a key is needed"}')
    assert get(flow, "/nothing", key).status == 404
    assert get(flow, "/users/7", key).body == "USERS /7 -"
    assert get(flow, "/orders/", key).body == "ORDERS / -"


@example("blue-green", webs("BLUE", "GREEN"), HTTP=HTTP, SOCKET="<unix:operator>", GENERATION=str(FOLDER / "generation.map"))
def blue_green(flow: Flow) -> None:
    for cookie, generation in (("a=b", "blue"), ("generation=green", "green"), ("generation=blue", "blue")):
        found = get(flow, "/", f"Cookie: {cookie}")
        assert (found.body, found.fields["x-generation"]) == (f"{generation.upper()} / -", generation)


@example("caches", webs("CACHE1", "CACHE2", "CACHE3", "ORIGIN"), HTTP=HTTP)
def caches(flow: Flow) -> None:
    answers = {path: {get(flow, path).body.split()[0] for _ in range(3)} for path in ("/a.css", "/b.js", "/c.png")}
    assert all(len(servers) == 1 and servers < {"CACHE1", "CACHE2", "CACHE3"} for servers in answers.values()), answers
    assert get(flow, "/page").body == "ORIGIN /page -"
    assert get(flow, "/a.css", "Cookie: session=1").body == "ORIGIN /a.css -"


@example("many-domains", webs("SHOP", "BLOG"), HTTP=HTTP, DOMAINS=str(FOLDER / "domains.map"))
def many_domains(flow: Flow) -> None:
    for host, server in (("shop.example.org", "SHOP"), ("WWW.shop.example.org:80", "SHOP"), ("blog.example.org", "BLOG")):
        assert get(flow, "/", f"Host: {host}").body == f"{server} / -"
    assert (get(flow, "/", "Host: else.example.org").status, get(flow, "/").body) == (404, "No such site here.")


@example("operations", webs("APP"), HTTP=HTTP, ADMIN="<listen:admin>", SOCKET="<unix:operator>", PASSWORD="secret")
def operations(flow: Flow) -> None:
    eventually(lambda: get(flow, "/alive").status == 200, "the application is up")
    assert get(flow, "/x").body == "APP /x -"
    operator = flow.connect("operator")
    operator.send(b"show info\n")
    assert b"Maxconn: 1000\n" in operator.receive_to_end()


@example("rate-limits", webs("APP"), HTTP=HTTP)
def rate_limits(flow: Flow) -> None:
    assert get(flow, "/").body == "APP / -"


@example("seed003", {"WEB": lambda _folder: web("WEB")})
def seed003(flow: Flow) -> None:
    for _ in range(5):
        assert get_tls(flow, "/").body == "WEB / 127.0.0.1"


@example("sticky-sessions", webs("APP1", "APP2"), HTTP=HTTP)
def sticky_sessions(flow: Flow) -> None:
    first = get(flow, "/")
    assert re.fullmatch("APP[12] / 127.0.0.1", first.body)
    cookie = first.fields["set-cookie"].partition(";")[0]
    assert re.fullmatch(r"SERVER=(one|two)\|.{5}\|.{5}", cookie)
    assert {get(flow, "/", f"Cookie: {cookie}").body for _ in range(4)} == {first.body}
    assert {get(flow, "/", "Cookie: SERVER=forged").status for _ in range(2)} == {200}


@example("tcp-databases", greeters("PRIMARY", "STANDBY", "REPLICA1", "REPLICA2"), WRITE="<listen:write>", READ="<listen:read>")
def tcp_databases(flow: Flow) -> None:
    writers = [flow.connect("write") for _ in range(3)]
    assert {writer.receive_until(b"\n") for writer in writers} == {b"PRIMARY\n"}
    writers[0].send(b"insert")
    assert writers[0].receive_exactly(6) == b"insert"
    readers = [flow.connect("read") for _ in range(4)]
    assert {reader.receive_until(b"\n") for reader in readers} == {b"REPLICA1\n", b"REPLICA2\n"}


@example("tls-offload", webs("APP1", "APP2"), HTTP=HTTP, HTTPS=HTTPS, CERTIFICATE=PEM)
def tls_offload(flow: Flow) -> None:
    plain = get(flow, "/page?q")
    assert (plain.status, plain.fields["location"]) == (301, "https://example.org/page?q")
    answers = [get_tls(flow, "/page") for _ in range(4)]
    assert {answer.body for answer in answers} <= {"APP1 /page 127.0.0.1", "APP2 /page 127.0.0.1"}
    assert answers[0].fields["strict-transport-security"] == "max-age=31536000"
    old = certificates.client_context(flow.folder)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        flow.connect_tls("https", old)


@example("tls-passthrough", {"MAIL": tls_greeter("MAIL", "a.pem"), "CLOUD": tls_greeter("CLOUD", "b.pem")}, HTTPS=HTTPS)
def tls_passthrough(flow: Flow) -> None:
    context = certificates.client_context(flow.folder)
    for name, server in (("mail.example.org", b"MAIL\n"), ("Mail.Example.Org", b"MAIL\n"), ("cloud.example.org", b"CLOUD\n")):
        assert flow.connect_tls("https", context, server_name=name).receive_until(b"\n") == server
    plain = flow.connect("https")
    plain.send(b"GET / HTTP/1.1\r\nHost: mail.example.org\r\n\r\n")
    assert plain.receive_to_end() == b""


@example("two-tiers", webs("APP"), HTTPS=HTTPS, CERTIFICATE=PEM)
def two_tiers(flow: Flow) -> None:
    for _ in range(5):
        assert get_tls(flow, "/").body == "APP / 127.0.0.1"


@example("websocket", webs("APP", "SOCKETS1", "SOCKETS2"), HTTP=HTTP)
def websocket(flow: Flow) -> None:
    assert get(flow, "/").body == "APP / 127.0.0.1"
    client = flow.connect("http")
    opened = ask(client, "/chat", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    assert (opened.status, opened.fields["upgrade"]) == (101, "websocket")
    client.send(b"\x81\x02hi")
    assert client.receive_exactly(4) == b"\x81\x02hi"


# --- scenes: where a client or a URL lives ----------------------------------------------------------------------------


def _served(replies: list[Reply]) -> list[str]:
    """Which servers have answered."""
    return [reply.body.split()[0] for reply in replies]


@example("shared-servers", webs("S1", "S2", "S3"), HTTP=HTTP)
def shared_servers(flow: Flow) -> None:
    for host, servers in (("shop.example.org", {"S1", "S2"}), ("www.blog.example.org:80", {"S1", "S3"})):
        assert set(_served([get(flow, "/", f"Host: {host}") for _ in range(6)])) == servers
    assert get(flow, "/", "Host: else.example.org").status == 404


@example("by-content", webs("SMALL1", "SMALL2", "BIG"), HTTP=HTTP)
def by_content(flow: Flow) -> None:
    peer = flow.connect("http")  # all requests of one connection
    paths = ("/", "/cgi-bin/x", "/a.html", "/b.php?x=1", "/c.html", "/d.cgi")
    served = _served([ask(peer, path) for path in paths])
    assert [name[:3] for name in served] == ["SMA", "BIG", "SMA", "BIG", "SMA", "BIG"]
    assert {"SMALL1", "SMALL2"} < set(served)


@example("one-client-one-proxy", webs("SQUID1", "SQUID2", "SQUID3"), PROXY="<listen:proxy>")
def one_client_one_proxy(flow: Flow) -> None:
    def through(source: str) -> str:
        peer = Peer(socket.create_connection(("127.0.0.1", flow.port("proxy")), 5, source_address=(source, 0)), source)
        try:
            return ask(peer, "http://example.org/").body.split()[0]
        finally:
            peer.close()

    seen = {source: {through(source) for _ in range(4)} for source in (f"127.0.{number}.{number * 7}" for number in range(1, 30))}
    assert all(len(servers) == 1 for servers in seen.values())
    assert set.union(*seen.values()) == {"SQUID1", "SQUID2", "SQUID3"}


@example("http-and-https", webs("APP1", "APP2"), HTTP=HTTP, HTTPS=HTTPS, CERTIFICATE=PEM)
def http_and_https(flow: Flow) -> None:
    replies = [ask(flow.connect("http"), "/")]
    for _ in range(3):
        replies += [get_tls(flow, "/"), get(flow, "/")]
    assert len(set(_served(replies))) == 1


def _resumable(file: str) -> Callable[[Path], Serve]:
    """A server that knows sessions by their ids, and says its file's name."""

    def make(folder: Path) -> Serve:
        context = certificates.server_context(folder)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_TICKET

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as decrypted:
                decrypted.sendall(file.encode())
                decrypted.recv(1)
                decrypted.unwrap()  # without a proper end the session would be forgotten

        return serve

    return make


@example("tls-session", {"APP1": _resumable("APP1"), "APP2": _resumable("APP2")}, HTTPS=HTTPS)
def tls_session(flow: Flow) -> None:
    context = certificates.client_context(flow.folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET

    def visit(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession, bool]:
        plain = socket.create_connection(("127.0.0.1", flow.port("https")), 5)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as connected:
            name = connected.recv(100)
            session, reused = connected.session, connected.session_reused
            assert session is not None and reused is not None
            with contextlib.suppress(OSError):
                connected.unwrap()  # or the server forgets the session
            return name, session, reused

    for _ in range(2):
        name, session, _ = visit(None)
        for _ in range(3):
            assert visit(session)[::2] == (name, True)


@example("pinned-connections", webs("APP1", "APP2"), HTTP=HTTP)
def pinned_connections(flow: Flow) -> None:
    clients = [flow.connect("http") for _ in range(4)]
    first = _served([ask(client, "/") for client in clients])
    assert set(first) == {"APP1", "APP2"}
    for _ in range(3):
        assert _served([ask(client, "/") for client in clients]) == first


def _session_server(name: str) -> Callable[[Path], Serve]:
    """Begins a session under PHPSESSION where it is sent none, and says which one it was sent."""

    def serve(connection: socket.socket) -> None:
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                data = connection.recv(65536)
                if not data:
                    return
                held += data
            head, _, held = held.partition(b"\r\n\r\n")
            found = re.search(rb"(?mi)^cookie: (.*?)\r?$", head)
            body = name.encode() + b" " + (found[1] if found else b"-")
            begin = b"" if found and b"PHPSESSION=" in found[1] else b"Set-Cookie: PHPSESSION=of-%b; path=/\r\n" % name.encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (begin, len(body), body))

    return lambda _folder: serve


@example("two-applications", {name: _session_server(name) for name in ("OLD1", "OLD2", "NEW1", "NEW2")}, HTTP=HTTP)
def two_applications(flow: Flow) -> None:
    jar: dict[str, str] = {"theme": "dark"}

    def visit(path: str) -> tuple[str, str]:
        reply = get(flow, path, f"Cookie: {'; '.join(f'{name}={value}' for name, value in jar.items())}")
        name, _, value = reply.fields.get("set-cookie", "").partition(";")[0].partition("=")
        if name:
            jar[name] = value
        server, _, cookies = reply.body.partition(" ")
        return server, cookies

    old, new = visit("/")[0], visit("/new/")[0]
    assert len(jar) == 3 and "PHPSESSION" not in jar
    for _ in range(3):
        assert visit("/") == (old, f"theme=dark; PHPSESSION=of-{old}")
        assert visit("/new/") == (new, f"theme=dark; PHPSESSION=of-{new}")


def text_of(name: str, found: Example) -> str:
    """The file; abstract names and, where it has no variables, addresses become places. The comment makes the flow wait for sockets."""
    text = re.sub(r"abns@(\w+)", r"abns@<abns:\1>", (FOLDER / f"{name}.cfg").read_text())
    if name == "seed003":
        text = text.replace(":1234", HTTPS).replace("site.pem", PEM).replace("127.0.0.1:8080", "<server:WEB>")
    text = text.replace("maxconn 10000", "maxconn 1000")  # HAProxy does not start when the machine allows fewer descriptors
    return text + f"# {' '.join(found.variables.values())}\n"


def test_every_example_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.cfg")} == EXAMPLES.keys()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_does_what_it_is_about(program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "haproxy" and name in OURS:
        pytest.skip("process N, pass-fd and rename are not in HAProxy's language")
    found = EXAMPLES[name]
    certificates.put_into(tmp_path)
    flow = Flow(tmp_path, (BY_NAME[program], text_of(name, found)))
    for variable, place in found.variables.items():
        monkeypatch.setenv(variable, flow.places.fill_in(place))
    serving = []
    for variable, make in found.servers.items():
        monkeypatch.setenv(variable, flow.places.fill_in(f"<server:{variable}>"))
        serving.append(ServingThread(flow.server(variable), make(tmp_path)))
    try:
        with flow:
            assert flow.refused == {}
            found.ask(flow)
    finally:
        for server in serving:
            server.stop()
