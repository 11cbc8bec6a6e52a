from __future__ import annotations

import os
import ssl
from math import inf

import pytest
from OpenSSL import SSL

from common.errors import ConfigError
from common.model import Tls
from tests.common.net.driving import Driver, open_descriptors
from tests.worker.authority import Authority
from tests.worker.tls_peers import Peer, accept, bind_tls, client_context, connect, server_context
from worker.server_tls import SESSIONS_MAX, ServerTls
from worker.tls import CLOSED, TlsError

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def only(version: ssl.TLSVersion, ca_file: str | None = None) -> ssl.SSLContext:
    return client_context(ca_file, minimum_version=version, maximum_version=version)


def names_of(peer: Peer) -> set[str]:
    """Of the certificate that the peer was shown."""
    certificate = peer.sock.getpeercert()
    assert certificate
    return {str(value) for _kind, value in certificate.get("subjectAltName", ())}


# --- which certificate ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(authority: Authority) -> list[str]:
    return [
        authority.pem("first.example"),
        authority.pem("b.example", "www.b.example"),
        authority.pem("*.wild.example", "exact.wild.example"),
    ]


@VERSIONS
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, "first.example"),
        ("first.example", "first.example"),
        ("b.example", "b.example"),
        ("WWW.B.example", "www.b.example"),
        ("b.example.", "b.example"),
        ("one.wild.example", "*.wild.example"),
        ("exact.wild.example", "exact.wild.example"),
        ("two.labels.wild.example", "first.example"),
        ("wild.example", "first.example"),
        ("nobody.example", "first.example"),
        ("localhost", "first.example"),
    ],
)
def test_certificate_is_chosen_by_name_and_the_first_one_serves_the_rest(
    driver: Driver, authority: Authority, several: list[str], version: ssl.TLSVersion, name: str | None, shown: str
) -> None:
    _stream, peer, failure = accept(driver, bind_tls(*several), only(version, authority.ca_file), name=name)
    assert failure is None and peer.done, peer.failure
    assert shown in names_of(peer)


@VERSIONS
@pytest.mark.parametrize("name", [None, "nobody.example", "wild.example"])
def test_strict_sni_refuses_other_names_with_the_right_alert(
    driver: Driver, several: list[str], version: ssl.TLSVersion, name: str | None
) -> None:
    _stream, peer, failure = accept(driver, bind_tls(*several, strict_sni=True), only(version), name=name)
    assert isinstance(failure, TlsError) and failure.slug == "tls_unknown_server_name"
    driver.until(peer.step)
    assert "UNRECOGNIZED_NAME" in str(peer.failure).upper().replace(" ", "_")


def test_strict_sni_serves_the_names_it_has(driver: Driver, several: list[str]) -> None:
    for name in ("first.example", "b.example", "x.wild.example"):
        assert accept(driver, bind_tls(*several, strict_sni=True), name=name)[2] is None


def test_first_certificate_with_a_name_has_it(authority: Authority) -> None:
    pems = [authority.pem("a.example"), authority.pem("b.example"), authority.pem("b.example")]
    assert [found.certificate.path for found in bind_tls(*pems).certificates_for(b"b.example")] == [pems[1]]


def test_directory_of_certificates_serves_all_of_them(driver: Driver, authority: Authority) -> None:
    for file, name in (("2.pem", "two.example"), ("1.pem", "one.example")):
        authority.pem(name, file=f"served/{file}")
    bind = bind_tls(str(authority.folder / "served"))
    for name, shown in (("two.example", "two.example"), ("one.example", "one.example"), (None, "one.example")):
        _stream, peer, failure = accept(driver, bind, client_context(authority.ca_file), name=name)
        assert failure is None and names_of(peer) == {shown}


def test_chain_is_sent(driver: Driver, authority: Authority) -> None:
    middle = Authority(authority.folder, parent=authority)
    bind = bind_tls(authority.pem("a.example"), middle.pem("b.example", chain=[middle]))
    context = client_context(authority.ca_file)
    assert accept(driver, bind, context, name="b.example")[2] is None


@pytest.mark.parametrize("certificates", [[], ["/nonexistent.pem"], ["empty directory"]])
def test_bind_without_a_usable_certificate_is_a_fault(authority: Authority, certificates: list[str]) -> None:
    if certificates == ["empty directory"]:
        folder = authority.folder / "empty"
        folder.mkdir(exist_ok=True)
        certificates = [str(folder)]
    with pytest.raises(ConfigError):
        bind_tls(*certificates)


def test_files_are_read_at_the_start_and_never_again(driver: Driver, authority: Authority) -> None:
    """The context of a second certificate is made when a client first asks for it: by then the process may have given up its rights."""
    ca_file = authority.file("vanishing.pem", authority.root.certificate_pem)
    pems = [authority.pem("a.example"), authority.pem("b.example")]
    bind = bind_tls(*pems, verify="required", ca_file=ca_file)
    for path in (ca_file, *pems):
        os.unlink(path)
    context = with_client_certificate(authority, authority)
    for name in ("a.example", "b.example"):
        assert accept(driver, bind, context, name=name)[2] is None


# --- everything else about a bind holds for all its certificates --------------------------------------------------------

EVERY_CERTIFICATE = pytest.mark.parametrize("name", ["first.example", "b.example"])


@EVERY_CERTIFICATE
@pytest.mark.parametrize(("theirs", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0"), (["h2"], None), ([], None)])
def test_protocol_is_agreed_on(driver: Driver, several: list[str], name: str, theirs: list[str], agreed: str | None) -> None:
    context = client_context()
    if theirs:
        context.set_alpn_protocols(theirs)
    _stream, peer, failure = accept(driver, bind_tls(*several, alpn=("h2", "http/1.1", "http/1.0")), context, name=name)
    assert failure is None and peer.sock.selected_alpn_protocol() == agreed


def with_client_certificate(authority: Authority, issuer: Authority, **more: float) -> ssl.SSLContext:
    one = issuer.issue("client.example", **more)  # type: ignore[arg-type]
    context = client_context()
    context.load_cert_chain(authority.file("client.pem", one.key_pem, one.certificate_pem))
    return context


@VERSIONS
@EVERY_CERTIFICATE
@pytest.mark.parametrize(
    ("client", "verify", "expected"),
    [
        ("trusted", "required", None),
        ("trusted", "optional", None),
        ("none", "optional", None),
        ("none", "required", "tls_no_client_certificate"),
        ("stranger", "required", "tls_certificate_verify_failed"),
        ("stranger", "optional", "tls_certificate_verify_failed"),
        ("stranger", "none", None),
        ("expired", "required", "tls_certificate_verify_failed"),
    ],
)
def test_client_certificate(
    driver: Driver,
    authority: Authority,
    several: list[str],
    version: ssl.TLSVersion,
    name: str,
    client: str,
    verify: str,
    expected: str | None,
) -> None:
    issuer = Authority(authority.folder) if client == "stranger" else authority
    context = (
        client_context() if client == "none" else with_client_certificate(authority, issuer, days_to=-0.5 if client == "expired" else 30)
    )
    context.minimum_version = context.maximum_version = version
    bind = bind_tls(*several, verify=verify, ca_file=authority.ca_file)
    stream, _peer, failure = accept(driver, bind, context, name=name)
    if expected is None:
        assert failure is None
    else:
        assert isinstance(failure, TlsError) and failure.slug == expected
        if client == "expired":
            assert stream.verification is not None and stream.verification.error == 10
            assert "X509_V_ERR_CERT_HAS_EXPIRED" in failure.detail


@VERSIONS
@EVERY_CERTIFICATE
def test_ignored_fault_of_a_client_is_still_told_also_when_it_comes_back(
    driver: Driver, authority: Authority, several: list[str], version: ssl.TLSVersion, name: str
) -> None:
    """A rule must be able to send the bearer of an expired certificate elsewhere: each time, resumed or not."""
    context = with_client_certificate(authority, authority, days_to=-0.5)
    context.minimum_version = context.maximum_version = version
    bind = bind_tls(*several, verify="required", ca_file=authority.ca_file, crt_ignore_err="X509_V_ERR_CERT_HAS_EXPIRED")
    session = None
    for is_resumed in (False, True):
        stream, peer, failure = accept(driver, bind, context, name=name, session=session)
        assert failure is None
        assert bool(SSL._lib.SSL_session_reused(stream.ssl)) is is_resumed  # type: ignore[attr-defined]
        assert SSL._lib.SSL_get_verify_result(stream.ssl) == 10  # type: ignore[attr-defined]
        session = last_session(driver, stream, peer)


def last_session(driver: Driver, stream: object, peer: Peer) -> ssl.SSLSession:
    """The session that the client could resume: in TLS 1.3 it comes after the handshake."""
    stream.send_now(b"x")  # type: ignore[attr-defined]
    driver.until(lambda: peer.receive() == b"x")
    session = peer.sock.session
    assert session is not None
    return session


def test_faults_of_authorities_are_told_apart_from_those_of_the_certificate(driver: Driver, authority: Authority) -> None:
    stranger = Authority(authority.folder)
    middle = Authority(authority.folder, parent=stranger)
    one = middle.issue("client.example")
    context = client_context()
    context.load_cert_chain(authority.file("with-chain.pem", one.key_pem, one.certificate_pem, middle.root.certificate_pem))
    settings = {"verify": "required", "ca_file": authority.ca_file}
    stream, _peer, failure = accept(driver, bind_tls(authority.pem("a.example"), **settings), context)
    assert failure is not None
    found = stream.verification
    assert found is not None and (found.error, found.ca_error, found.ca_depth) == (0, 20, 1)
    bind = bind_tls(authority.pem("a.example"), **settings, crt_ignore_err="all")
    assert accept(driver, bind, context)[2] is not None, "it is not the client's own certificate"
    bind = bind_tls(authority.pem("a.example"), **settings, ca_ignore_err="all")
    assert accept(driver, bind, context)[2] is None
    bind = bind_tls(authority.pem("a.example"), **settings, ca_ignore_err="20,X509_V_ERR_CERT_UNTRUSTED")
    assert accept(driver, bind, context)[2] is None


@VERSIONS
@EVERY_CERTIFICATE
def test_session_is_resumed(driver: Driver, several: list[str], version: ssl.TLSVersion, name: str) -> None:
    bind, context = bind_tls(*several), only(version)
    stream, peer, _ = accept(driver, bind, context, name=name)
    session = last_session(driver, stream, peer)
    stream, peer, failure = accept(driver, bind, context, name=name, session=session)
    assert failure is None and peer.sock.session_reused


@VERSIONS
def test_session_of_a_verified_client_is_resumed_too(
    driver: Driver, authority: Authority, several: list[str], version: ssl.TLSVersion
) -> None:
    """OpenSSL refuses to without a scope for sessions."""
    context = with_client_certificate(authority, authority)
    context.minimum_version = context.maximum_version = version
    bind = bind_tls(*several, verify="required", ca_file=authority.ca_file)
    for name in ("first.example", "b.example"):
        stream, peer, _ = accept(driver, bind, context, name=name)
        session = last_session(driver, stream, peer)
        _stream, peer, failure = accept(driver, bind, context, name=name, session=session)
        assert failure is None and peer.sock.session_reused


def test_without_tickets_none_is_given(driver: Driver, several: list[str]) -> None:
    bind, context = bind_tls(*several, tickets=False), only(ssl.TLSVersion.TLSv1_2)
    for name in ("first.example", "b.example"):
        _stream, peer, failure = accept(driver, bind, context, name=name)
        assert failure is None and peer.sock.session is not None and not peer.sock.session.has_ticket


def test_many_clients_leave_no_descriptor(driver: Driver, several: list[str]) -> None:
    before = open_descriptors()
    bind = bind_tls(*several, strict_sni=True)
    for name in ("first.example", "nobody.example") * 5:
        stream, peer, _ = accept(driver, bind, name=name)
        stream.close()
        peer.close()
    assert open_descriptors() == before


# --- to servers -------------------------------------------------------------------------------------------------------


def server_tls(**settings: object) -> ServerTls:
    return ServerTls(Tls(**settings))  # type: ignore[arg-type]


@VERSIONS
@pytest.mark.parametrize(
    ("certificate", "sent", "settings", "expected"),
    [
        (["app.example"], b"app.example", {}, None),
        (["app.example"], b"APP.example", {}, None),
        (["app.example"], b"other.example", {}, "HOSTNAME_MISMATCH"),
        (["app.example"], None, {}, None),
        (["app.example"], None, {"verifyhost": "app.example"}, None),
        (["app.example"], None, {"verifyhost": "other.example"}, "HOSTNAME_MISMATCH"),
        (["app.example"], b"app.example", {"verifyhost": "other.example", "sni": "str(app.example)"}, None),
        (["app.example"], b"other.example", {"verifyhost": "app.example", "sni": "str(other.example)"}, "HOSTNAME_MISMATCH"),
        (["app.example"], b"whatever.the.client.asked.for", {"verifyhost": "app.example"}, None),
        (["*.example.net"], b"app.example.net", {}, None),
        (["*.example.net"], b"a.b.example.net", {}, "HOSTNAME_MISMATCH"),
        (["*.example.net"], b"example.net", {}, "HOSTNAME_MISMATCH"),
        (["ap*.example.net"], b"app.example.net", {}, "HOSTNAME_MISMATCH"),
        (["a.example", "app.example"], b"app.example", {}, None),
    ],
)
def test_certificate_of_a_server_must_be_for_the_name_that_is_sent_or_expected(
    driver: Driver,
    authority: Authority,
    version: ssl.TLSVersion,
    certificate: list[str],
    sent: bytes | None,
    settings: dict[str, str],
    expected: str | None,
) -> None:
    context = server_context(authority.pem(*certificate))
    context.minimum_version = context.maximum_version = version
    tls, peer, failure = connect(driver, server_tls(ca_file=authority.ca_file, **settings), context, sent)
    if expected is None:
        assert failure is None and tls is not None
        tls.close()
    else:
        assert isinstance(failure, TlsError) and failure.slug == "tls_certificate_verify_failed" and expected in failure.detail
        driver.until(lambda: peer.failure or peer.done)


@pytest.mark.parametrize(
    ("settings", "kind", "is_fine"),
    [
        ({}, "stranger", False),
        ({"verify": "none"}, "stranger", True),
        ({"verify": "none", "verifyhost": "other.example"}, "stranger", True),
        ({"verify": "required"}, "good", True),
        ({}, "expired", False),
        ({}, "not yet", False),
    ],
)
def test_server_is_verified_unless_it_is_said_not_to(
    driver: Driver, authority: Authority, settings: dict[str, object], kind: str, is_fine: bool
) -> None:
    issuer = Authority(authority.folder) if kind == "stranger" else authority
    one = issuer.issue("app.example", days_from=1 if kind == "not yet" else -2, days_to=-1 if kind == "expired" else 3)
    context = server_context(authority.file(f"server-{kind}.pem", one.key_pem, one.certificate_pem))
    before = open_descriptors()
    tls, peer, failure = connect(driver, server_tls(ca_file=authority.ca_file, **settings), context, b"app.example")
    assert (failure is None) is is_fine
    if tls is not None:
        tls.close()
    peer.close()
    assert open_descriptors() == before


def test_common_name_counts_only_where_there_is_no_alternative(driver: Driver, authority: Authority) -> None:
    for alternatives, is_fine in (((), True), (("other.example",), False)):
        one = authority.issue(*alternatives, common_name="app.example")
        context = server_context(authority.file("common.pem", one.key_pem, one.certificate_pem))
        tls, _peer, failure = connect(driver, server_tls(ca_file=authority.ca_file), context, b"app.example")
        assert (failure is None) is is_fine
        if tls is not None:
            tls.close()


def test_server_hears_the_name_and_sees_our_certificate(driver: Driver, authority: Authority) -> None:
    heard: list[str | None] = []
    context = server_context(authority.pem("app.example"))
    context.sni_callback = lambda _socket, name, _context: heard.append(name)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    settings = server_tls(ca_file=authority.ca_file, certificates=[authority.pem("us.example")], alpn=("http/1.1",))
    tls, peer, failure = connect(driver, settings, context, b"app.example")
    assert failure is None and tls is not None
    driver.until(peer.step)
    assert heard == ["app.example"] and names_of(peer) == {"us.example"}
    tls.close()


@VERSIONS
def test_session_with_a_server_is_resumed_for_the_same_name_only(driver: Driver, authority: Authority, version: ssl.TLSVersion) -> None:
    """It stands for a certificate that was verified for that name."""
    context = server_context(authority.pem("*.example.net"))
    context.minimum_version = context.maximum_version = version
    server = server_tls(ca_file=authority.ca_file)
    seen = []
    for name in (b"a.example.net", b"a.example.net", b"b.example.net", b"a.example.net", None, b"b.example.net"):
        tls, peer, failure = connect(driver, server, context, name)
        assert failure is None and tls is not None
        seen.append(bool(peer.sock.session_reused))
        peer.sock.send(b"x")
        assert driver.run(tls.recv()) == b"x"
        server.remember(name, tls)
        tls.close()
    assert seen == [False, True, False, True, False, True]


def test_session_is_not_resumed_with_no_ssl_reuse(driver: Driver, authority: Authority) -> None:
    context = server_context(authority.pem("app.example"))
    server = server_tls(ca_file=authority.ca_file, reuse=False)
    for _ in range(2):
        tls, peer, _ = connect(driver, server, context, b"app.example")
        assert tls is not None and not peer.sock.session_reused
        peer.sock.send(b"x")
        driver.run(tls.recv())
        server.remember(b"app.example", tls)
        tls.close()


def test_sessions_of_names_without_end_do_not_pile_up(driver: Driver, authority: Authority) -> None:
    context = server_context(authority.pem("app.example"))
    server = server_tls(verify="none")
    tls, peer, _ = connect(driver, server, context)
    assert tls is not None
    peer.sock.send(b"x")
    driver.run(tls.recv())
    for number in range(SESSIONS_MAX + 10):
        server.remember(b"name-%d.example" % number, tls)
    assert len(server._sessions) == SESSIONS_MAX
    tls.close()


def test_server_that_closes_or_talks_plainly_is_an_error_and_leaks_nothing(driver: Driver, authority: Authority) -> None:
    before = open_descriptors()
    for says, slug in ((b"", CLOSED), (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3, None)):
        plain, sock = driver.pair()
        over: list[Exception] = []

        async def story() -> None:
            try:
                await server_tls(verify="none").connect(plain, b"app.example", inf)  # noqa: B023
            except TlsError as error:
                over.append(error)  # noqa: B023

        driver.start("story", story())
        sock.send(says)
        sock.close()
        driver.until(lambda: over)  # noqa: B023
        [error] = over
        assert isinstance(error, TlsError) and (slug is None or error.slug == slug)
    assert open_descriptors() == before


def test_server_settings_that_cannot_be_used_are_faults(authority: Authority) -> None:
    for settings in ({"ca_file": "/nonexistent"}, {"certificates": ["/nonexistent"]}, {"ciphers": "NO-SUCH"}):
        with pytest.raises(ConfigError):
            server_tls(**settings)
