"""crt-list, crt-store, certificate directories and bundles: which certificate and which settings a client meets, with HAProxy beside us."""

from __future__ import annotations

import ssl
import subprocess

import pytest
import trustme

from tests.flows import certificates
from tests.flows.harness import Flow, defaults

_LISTS = {
    "plain.txt": "<file:one.pem>\n<file:wild.pem>\n",
    "filters.txt": """# names are not those of the certificates
<file:one.pem>   first.example   *.many.example !not.many.example
<file:two.pem> [ssl-min-ver TLSv1.3] strict13.example   # a remark
<file:wild.pem> not.many.example
<file:one.pem> [verify required ca-file <file:ca.pem>] members.example
<file:two.pem> [ssl-max-ver TLSv1.2] old.example
<file:two.pem> [alpn http/1.0] alpn.example
""",
    "negative.txt": "<file:one.pem>\n<file:wild.pem> !secret.wild.example\n",
    "pair.txt": "<file:pair.rsa.pem>\n<file:pair.ecdsa.pem>\n",
}
_STORE = """
crt-store web
    load crt <file:apart.crt> key <file:apart/the.key> alias site
crt-store
    load crt <file:apart.crt> key <file:apart/the.key>
"""
_TEXT = """
listen plain
    bind <listen:plain> ssl crt-list <file:plain.txt>
    http-request return status 200
listen filters
    bind <listen:filters> ssl crt-list <file:filters.txt> alpn http/1.1
    http-request return status 200 hdr x-c %[ssl_c_s_dn(cn)]
listen filters_strict
    bind <listen:filters_strict> ssl crt-list <file:filters.txt> strict-sni
    http-request return status 200
listen negative
    bind <listen:negative> ssl crt-list <file:negative.txt>
    http-request return status 200
listen mixed
    bind <listen:mixed> ssl crt <file:two.pem> crt-list <file:plain.txt>
    http-request return status 200
listen pair
    bind <listen:pair> ssl crt-list <file:pair.txt>
    http-request return status 200
listen bundle
    bind <listen:bundle> ssl crt <file:bundle.pem>
    http-request return status 200
"""
_NEWER = """
listen stored
    bind <listen:stored> ssl crt @web/site
    http-request return status 200
listen stored_unnamed
    bind <listen:stored_unnamed> ssl crt <file:apart.crt>
    http-request return status 200
listen default_crt
    bind <listen:default_crt> ssl crt <file:wild.pem> default-crt <file:pair.rsa.pem> default-crt <file:pair.ecdsa.pem>
    http-request return status 200
"""


@pytest.fixture(scope="module")
def flow(program: object, tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("lists")
    certificates.put_into(folder)
    authority = trustme.CA()
    (folder / "ca.pem").unlink()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for file, names in (("one.pem", ("one.example",)), ("two.pem", ("two.example",)), ("wild2.pem", ("*.wild.example",))):
        authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem.write_to_path(str(folder / file))
    (folder / "wild.pem").unlink()
    (folder / "wild2.pem").rename(folder / "wild.pem")
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        leaf = authority.issue_cert("pair.example", common_name=kind.name.lower(), key_type=kind)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"pair.{kind.name.lower()}.pem"))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"bundle.pem.{kind.name.lower()}"))
    apart = authority.issue_cert("apart.example")
    (folder / "apart").mkdir()
    apart.private_key_pem.write_to_path(str(folder / "apart" / "the.key"))
    apart.cert_chain_pems[0].write_to_path(str(folder / "apart.crt"))
    client = authority.issue_cert("client.example", common_name="client.example")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    for name, text in _LISTS.items():
        (folder / name).write_text(text.replace("<file:", f"{folder}/").replace(">", ""))
    is_usher = program.name == "usher"  # type: ignore[attr-defined]
    text = (_STORE if is_usher else "") + defaults() + _TEXT + (_NEWER if is_usher else "")
    with Flow(folder, (program, text)) as started:  # type: ignore[arg-type]
        yield started


def shown(flow: Flow, listen: str, name: str | None, **settings: object) -> set[str]:
    """The names of the certificate that a client meets."""
    context = certificates.client_context(flow.folder)
    for key, value in settings.items():
        if callable(getattr(context, key)):
            getattr(context, key)(value)
        else:
            setattr(context, key, value)
    peer = flow.connect_tls(listen, context, server_name=name)
    assert isinstance(peer.socket, ssl.SSLSocket)
    certificate = peer.socket.getpeercert()
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert peer.receive_to_end().startswith(b"HTTP/1.1 200")
    peer.close()
    assert certificate
    return {str(pair[1]) for pair in certificate["subjectAltName"]}


@pytest.mark.parametrize(
    ("listen", "name", "expected"),
    [
        ("plain", "one.example", "one.example"),
        ("plain", "x.wild.example", "*.wild.example"),
        ("plain", None, "one.example"),
        ("plain", "nobody.example", "one.example"),
        ("filters", "first.example", "one.example"),
        ("filters", "one.example", "one.example"),
        ("filters", "x.many.example", "one.example"),
        ("filters", "not.many.example", "*.wild.example"),
        ("filters", "strict13.example", "two.example"),
        ("filters", "old.example", "two.example"),
        ("filters", "x.wild.example", "one.example"),
        ("filters", None, "one.example"),
        ("filters_strict", "First.Example", "one.example"),
        ("negative", "open.wild.example", "*.wild.example"),
        ("negative", "secret.wild.example", "one.example"),
        ("mixed", None, "two.example"),
        ("mixed", "one.example", "one.example"),
        ("pair", "pair.example", "pair.example"),
    ],
)
def test_certificate_is_chosen_by_name_and_filter(flow: Flow, listen: str, name: str | None, expected: str) -> None:
    if listen == "negative" and name == "open.wild.example" and flow.instance.program.name == "haproxy":
        pytest.skip("a line with nothing but negative filters has no names there; its manual takes them from the certificate, as we do")
    assert shown(flow, listen, name) == {expected}


@pytest.mark.parametrize("name", ["one.example", "x.wild.example", None])
def test_strict_sni_knows_only_what_the_filters_say(flow: Flow, name: str | None) -> None:
    with pytest.raises(ssl.SSLError):
        shown(flow, "filters_strict", name)


@pytest.mark.parametrize(
    ("name", "version", "works"),
    [
        ("strict13.example", ssl.TLSVersion.TLSv1_2, False),
        ("strict13.example", ssl.TLSVersion.TLSv1_3, True),
        ("old.example", ssl.TLSVersion.TLSv1_2, True),
        ("old.example", ssl.TLSVersion.TLSv1_3, False),
        ("first.example", ssl.TLSVersion.TLSv1_2, True),
        ("first.example", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_a_line_has_versions_of_its_own(flow: Flow, name: str, version: ssl.TLSVersion, works: bool) -> None:
    if works:
        assert shown(flow, "filters", name, minimum_version=version, maximum_version=version)
    else:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            shown(flow, "filters", name, minimum_version=version, maximum_version=version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_line_may_want_certificates_of_its_clients(flow: Flow, version: ssl.TLSVersion) -> None:
    context = certificates.client_context(flow.folder)
    context.minimum_version = context.maximum_version = version
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        peer = flow.connect_tls("filters", context, server_name="members.example")
        peer.send(request)
        peer.receive_to_end()
    context.load_cert_chain(str(flow.folder / "client.pem"))
    peer = flow.connect_tls("filters", context, server_name="members.example")
    peer.send(request)
    assert b"x-c: client.example\r\n" in peer.receive_to_end()
    peer.close()


@pytest.mark.parametrize(("name", "agreed"), [("first.example", "http/1.1"), ("alpn.example", "http/1.0")])
def test_a_line_has_protocols_of_its_own(flow: Flow, name: str, agreed: str) -> None:
    context = certificates.client_context(flow.folder)
    context.set_alpn_protocols(["http/1.1", "http/1.0"])
    peer = flow.connect_tls("filters", context, server_name=name)
    assert isinstance(peer.socket, ssl.SSLSocket)
    assert peer.socket.selected_alpn_protocol() == agreed
    peer.close()


def key_shown(flow: Flow, port: int, *arguments: str) -> str:
    """"ECDSA" or "RSA": the key of the certificate that `openssl s_client` meets."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments], input=b"", capture_output=True, timeout=20
    )
    text = done.stdout.decode()
    assert "Server certificate" in text, text + done.stderr.decode()
    certificate = text[text.index("-----BEGIN") : text.index("-----END")] + "-----END CERTIFICATE-----\n"
    found = subprocess.run(["openssl", "x509", "-noout", "-text"], input=certificate, text=True, capture_output=True, timeout=20).stdout
    return "RSA" if "rsaEncryption" in found else "ECDSA"


_ABILITIES = [
    (("-tls1_3",), "ECDSA"),
    (("-tls1_2",), "ECDSA"),
    (("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"), "RSA"),
    (("-tls1_2", "-sigalgs", "RSA+SHA256"), "RSA"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "RSA"),
    (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), "ECDSA"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"), "ECDSA"),
]


@pytest.mark.interop("openssl")
@pytest.mark.parametrize("listen", ["pair", "bundle"])
@pytest.mark.parametrize(("arguments", "expected"), _ABILITIES, ids=[" ".join(arguments) for arguments, _ in _ABILITIES])
def test_of_two_kinds_the_client_gets_what_it_can_do(flow: Flow, listen: str, arguments: tuple[str, ...], expected: str) -> None:
    if arguments == ("-tls1_3",) and flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy 2.6 looks for ECDSA among the ciphers, and a client of TLS 1.3 alone names none there")
    assert key_shown(flow, flow.port(listen), "-servername", "pair.example", *arguments) == expected


@pytest.mark.parametrize(
    ("listen", "name", "expected"),
    [
        ("stored", None, "apart.example"),
        ("stored_unnamed", None, "apart.example"),
        ("default_crt", None, "pair.example"),
        ("default_crt", "nobody.example", "pair.example"),
        ("default_crt", "a.wild.example", "*.wild.example"),
    ],
)
def test_words_of_newer_versions(flow: Flow, listen: str, name: str | None, expected: str) -> None:
    if flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy 2.6 has no crt-store and no default-crt")
    assert shown(flow, listen, name) == {expected}
