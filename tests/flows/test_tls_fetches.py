"""Every fetch about the client's TLS, in both programs: what differs from HAProxy is named here with its reason."""

from __future__ import annotations

import datetime
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.conftest import need
from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.programs import HAPROXY, USHER, Program

_CERTIFICATE = ("der", "sha1", "notafter", "notbefore", "sig_alg", "key_alg", "i_dn", "s_dn", "serial", "version")
FETCHES = [
    *(f"ssl_{whose}_{what}" for whose in "cf" for what in _CERTIFICATE),
    *("ssl_c_s_dn(cn)", "ssl_c_s_dn(o)", "ssl_c_i_dn(ou)", "ssl_c_s_dn(cn,-1)", "ssl_c_s_dn(,0,rfc2253)", "ssl_c_s_dn(ou,2)"),
    "ssl_c_s_dn(zz)",
    *("ssl_c_chain_der", "ssl_c_verify", "ssl_c_used", "ssl_c_err", "ssl_c_ca_err", "ssl_c_ca_err_depth"),
    *("ssl_fc", "ssl_fc_alg_keysize", "ssl_fc_alpn", "ssl_fc_cipher", "ssl_fc_has_crt", "ssl_fc_has_early", "ssl_fc_has_sni"),
    *("ssl_fc_is_resumed", "ssl_fc_npn", "ssl_fc_protocol", "ssl_fc_use_keysize", "ssl_fc_sni", "ssl_fc_err", "ssl_fc_err_str"),
    *("ssl_fc_session_id", "ssl_fc_session_key", "ssl_fc_unique_id", "ssl_fc_client_random", "ssl_fc_server_random"),
    *("ssl_fc_protocol_hello_id", "ssl_fc_cipherlist_bin", "ssl_fc_cipherlist_hex", "ssl_fc_cipherlist_str", "ssl_fc_cipherlist_xxh"),
    *("ssl_fc_ecformats_bin", "ssl_fc_eclist_bin", "ssl_fc_extlist_bin"),
]
_BINARY = ("der", "sha1", "serial", "_bin", "session_id", "unique_id", "session_key", "random")
_BY_CHANCE = {"ssl_fc_session_id", "ssl_fc_session_key", "ssl_fc_unique_id", "ssl_fc_client_random", "ssl_fc_server_random"}
Seen = dict[tuple[str, str, int], dict[str, bytes | None]]


def _text(capture: str) -> str:
    lines = []
    for number, fetch in enumerate(FETCHES):
        lines.append(f"http-request set-var(txn.v{number}) {fetch}{',hex' if fetch.endswith(_BINARY) else ''}")
        lines.append(f"http-after-response set-header x-{number} %[var(txn.v{number})] if {{ var(txn.v{number}) -m found }}")
    return defaults(global_lines=capture) + """
listen a
    bind <listen:a> ssl crt <file:localhost.pem> alpn http/1.1 ca-file <file:ca.pem> verify optional crt-ignore-err all ca-ignore-err all
    {}
    http-request return status 200
""".format("\n    ".join(lines))


def _prepare(folder: Path) -> None:
    certificates.put_into(folder)
    authority, stranger = trustme.CA(), trustme.CA()
    (folder / "ca.pem").unlink()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    now = datetime.datetime.now(datetime.UTC)
    dates = {"not_before": now - datetime.timedelta(days=9), "not_after": now + datetime.timedelta(days=9)}
    past = {"not_before": now - datetime.timedelta(days=9), "not_after": now - datetime.timedelta(days=1)}
    middle = authority.create_child_ca()
    kinds = (("good", authority, dates), ("stranger", stranger, dates), ("expired", authority, past), ("chain", middle, dates))
    for file, issuer, when in kinds:
        names = {"common_name": "c.example", "organization_name": "Org & Söhne"}
        leaf = issuer.issue_cert("c.example", **names, **when)  # type: ignore[arg-type]
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{file}.pem"))


def _seen(program: Program, folder: Path, capture: str) -> Seen:
    found: Seen = {}
    with Flow(folder, (program, _text(capture))) as flow:
        address = flow.places.address("a")
        for file in ("", "good", "stranger", "expired", "chain"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.minimum_version = context.maximum_version = version
                context.set_alpn_protocols(["http/1.1"])
                if file:
                    context.load_cert_chain(str(folder / f"{file}.pem"))
                session = None
                for visit in range(2):
                    plain = socket.create_connection(address, 10)  # type: ignore[arg-type]
                    with context.wrap_socket(plain, server_hostname="localhost", session=session) as client:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                        answer = b""
                        while data := client.recv(65536):
                            answer += data
                        session = client.session
                    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
                    fields = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
                    found[file, version.name, visit] = {fetch: fields.get(b"x-%d" % number) for number, fetch in enumerate(FETCHES)}
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen]:
    """(HAProxy's, ours), with the same files."""
    need("haproxy")
    folder = tmp_path_factory.mktemp("fetches")
    _prepare(folder)
    return _seen(HAPROXY, folder, "tune.ssl.capture-cipherlist-size 800"), _seen(USHER, folder, "tune.ssl.capture-buffer-size 800")


@pytest.mark.parametrize("fetch", FETCHES)
def test_fetch_says_what_haproxy_says(both: tuple[Seen, Seen], fetch: str) -> None:
    theirs, ours = both
    for client, found in theirs.items():
        expected, got = found[fetch], ours[client][fetch]
        if fetch in _BY_CHANCE:
            assert len(expected or b"") == len(got or b""), client
        else:
            assert got == expected, client
