"""The TLS settings that bind lines, server lines, ssl-default-*-options and crt-list lines share.

Versions: HAProxy knows a range (ssl-min-ver, ssl-max-ver, force-*) and single ones taken out (no-tlsvNN); the model has a range, so what
is taken out narrows it, and a hole in the middle is refused. Relative file names are joined to crt-base and ca-base here.
Sans-io.
Source: HAProxy configuration manual 5.1, 5.2, 3.1 (ssl-default-bind-options, ca-base, crt-base).
"""

from __future__ import annotations

import re

from common.config.draft import State, TlsDraft
from common.config.keywords import Keyword, Section, Status
from common.config.line_words import WordParser
from common.config.statement import Words
from common.config.suggest import did_you_mean
from common.model import CertificateList

TlsParser = WordParser[TlsDraft]

VERSIONS = ("SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")
DEFAULT_MIN = "TLSv1.2"
_SUFFIXES = {"sslv3": "SSLv3", "tlsv10": "TLSv1.0", "tlsv11": "TLSv1.1", "tlsv12": "TLSv1.2", "tlsv13": "TLSv1.3"}

VERIFY_ERRORS = re.compile(r"all|(X509_V_ERR_[A-Z0-9_]+|[0-9]+)(,(X509_V_ERR_[A-Z0-9_]+|[0-9]+))*")
PRESETS = ("modern", "intermediate")

_BIND = Section.BIND
_SERVER = Section.SERVER | Section.DEFAULT_SERVER
_BOTH = _BIND | _SERVER


def joined(base: str, path: str) -> str:
    """A path after crt-base or ca-base; absolute ones and "@system-ca" stay."""
    return path if not base or path.startswith(("/", "@")) else f"{base.rstrip('/')}/{path}"


def _text(field: str, what: str) -> TlsParser:
    """A setting whose argument is taken as written."""

    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        setattr(draft.settings, field, words.required(what))

    return parse


def _flag(field: str, value: bool) -> TlsParser:
    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        setattr(draft.settings, field, value)

    return parse


def _ca(field: str) -> TlsParser:
    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        setattr(draft.settings, field, joined(state.ca_base, words.required("a file name")))

    return parse


def _ssl(state: State, draft: TlsDraft, words: Words) -> None:
    draft.enabled = True


def _no_ssl(state: State, draft: TlsDraft, words: Words) -> None:
    draft.enabled = False


def _sni(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.sni = words.required("a sample expression")
    draft.sni_position = words.position - 1


def _certificate(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.certificates.append(joined(state.crt_base, words.required("a certificate file or directory")))


def _server_certificate(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.certificates = [joined(state.crt_base, words.required("a certificate file"))]


def _default_certificate(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.default_certificates.append(joined(state.crt_base, words.required("a certificate file")))


def _certificate_list(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.crt_lists.append(CertificateList(words.required("a file name"), len(draft.settings.certificates)))


def _verify(*allowed: str) -> TlsParser:
    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        value = words.required(f"verify method, one of {', '.join(allowed)}")
        if value not in allowed:
            raise words.fault(f"'verify' : unknown verify method '{value}', only {', '.join(allowed)} are supported")
        draft.settings.verify = value

    return parse


def _alpn(state: State, draft: TlsDraft, words: Words) -> None:
    """ALPN names that we speak: HTTP/2 is not among them yet, so that offering it would promise what no worker keeps."""
    protocols = tuple(words.required("a comma-delimited list of protocols").split(","))
    if any(not 0 < len(protocol) <= 255 for protocol in protocols):
        raise words.fault("'alpn' : protocol names have 1 to 255 characters", "For example: alpn http/1.1")
    unknown = [protocol for protocol in protocols if protocol in ("h2", "h3", "hq-interop")]
    if unknown:
        words.statement.note(
            f"'alpn' : '{unknown[0]}' is not spoken here and is not offered",
            words.position - 1,
            "Clients agree on http/1.1.",
            "alpn-not-offered",
        )
        protocols = tuple(protocol for protocol in protocols if protocol not in unknown) or ("http/1.1",)
    draft.settings.alpn = protocols


def _no_alpn(state: State, draft: TlsDraft, words: Words) -> None:
    draft.settings.alpn = ()


def _errors(field: str) -> TlsParser:
    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        value = words.required("'all' or a comma-delimited list of verification errors")
        if not VERIFY_ERRORS.fullmatch(value):
            raise words.fault(
                f"'{field.replace('_', '-')}' : '{value}' is no list of verification errors",
                "Write all, or names and numbers such as X509_V_ERR_CERT_HAS_EXPIRED,18.",
            )
        setattr(draft.settings, field, value)

    return parse


def _version(field: str) -> TlsParser:
    def parse(state: State, draft: TlsDraft, words: Words) -> None:
        value = words.required(f"a version, one of {', '.join(VERSIONS)}")
        if value not in VERSIONS:
            near = did_you_mean(value, VERSIONS)
            raise words.fault(f"unknown TLS version '{value}', only {', '.join(VERSIONS)} are supported{near}")
        _refuse_ssl3(words, value)
        setattr(draft.settings, field, value)

    return parse


def _force(state: State, draft: TlsDraft, words: Words) -> None:
    version = _SUFFIXES[words.texts[words.position - 1].removeprefix("force-")]
    _refuse_ssl3(words, version)
    draft.settings.min_version = draft.settings.max_version = version


def _refuse_ssl3(words: Words, version: str) -> None:
    if version == "SSLv3":
        raise words.fault("SSLv3 is not available: the TLS library has dropped it", "Use TLSv1.2 or later.")


def _without(state: State, draft: TlsDraft, words: Words) -> None:
    draft.disabled.add(_SUFFIXES[words.texts[words.position - 1].removeprefix("no-")])


def _preset(state: State, draft: TlsDraft, words: Words) -> None:
    value = words.required(f"a preset, one of {', '.join(PRESETS)}")
    if value not in PRESETS:
        raise words.fault(f"'ssl-preset' : unknown preset '{value}', only {', '.join(PRESETS)} are supported")
    draft.settings.preset = value


def settle_versions(draft: TlsDraft) -> str:
    """Narrow the version range by the versions taken out; a complaint when that leaves a hole or nothing, else "".

    Called once, after the defaults were merged in.
    """
    settings = draft.settings
    low = VERSIONS.index(settings.min_version or DEFAULT_MIN)
    high = VERSIONS.index(settings.max_version or VERSIONS[-1])
    if not settings.min_version and high < low:
        low = high  # an old maximum alone means "up to it", not "nothing"
    left = [version for version in VERSIONS[low : high + 1] if version not in draft.disabled]
    if not left:
        return "no TLS version is left enabled"
    first, last = VERSIONS.index(left[0]), VERSIONS.index(left[-1])
    if last - first + 1 != len(left):
        gap = next(version for version in VERSIONS[first:last] if version not in left)
        return f"TLS versions {left[0]} and {left[-1]} are enabled but {gap} between them is not"
    if draft.disabled or settings.min_version or settings.max_version:
        settings.min_version, settings.max_version = left[0], left[-1] if settings.max_version or draft.disabled else ""
    return ""


def merge_defaults(draft: TlsDraft, defaults: TlsDraft) -> None:
    """What the line leaves unsaid comes from ssl-default-bind-* or ssl-default-server-*."""
    mine, given = draft.settings, defaults.settings
    for name in ("ciphers", "ciphersuites", "curves", "sigalgs", "client_sigalgs"):
        if getattr(mine, name) is None:
            setattr(mine, name, getattr(given, name))
    own_range = bool(mine.min_version or mine.max_version)
    if not own_range:
        mine.min_version, mine.max_version = given.min_version, given.max_version
    elif not mine.min_version:
        mine.min_version = given.min_version
    elif not mine.max_version:
        mine.max_version = given.max_version
    draft.disabled |= defaults.disabled
    mine.verify = mine.verify or given.verify
    mine.tickets = mine.tickets and given.tickets
    mine.prefer_client_ciphers = mine.prefer_client_ciphers or given.prefer_client_ciphers
    mine.strict_sni = mine.strict_sni or given.strict_sni
    mine.reuse = mine.reuse and given.reuse
    mine.preset = mine.preset or given.preset


def _row(name: str, sections: Section, syntax: str, parse: TlsParser, meaning: str, **more: object) -> Keyword[TlsParser]:
    arguments = 1 if "<" in syntax or "[" in syntax else 0
    more.setdefault("manual", "5.1, 5.2" if sections & _BIND and sections & _SERVER else "5.1" if sections & _BIND else "5.2")
    return Keyword(name, sections, f"{name} {syntax}".strip(), parse, meaning, least=arguments, most=arguments, **more)  # type: ignore[arg-type]


def _unused(state: State, draft: TlsDraft, words: Words) -> None:
    """For words that are refused or without effect before their parser would be asked; arguments are skipped by their number."""


def _refused(name: str, sections: Section, syntax: str, instead: str) -> Keyword[TlsParser]:
    return _row(name, sections, syntax, _unused, "Not available here.", status=Status.REFUSED, instead=instead)


_VERSION_LIST = "[" + "|".join(VERSIONS) + "]"

ROWS: tuple[Keyword[TlsParser], ...] = (
    _row("ssl", _BIND, "", _ssl, "Expects TLS from clients on this socket; needs `crt` or `crt-list`."),
    _row("ssl", _SERVER, "", _ssl, "Speaks TLS to the server; its certificate is verified unless `verify none` is said."),
    _row("no-ssl", _SERVER, "", _no_ssl, "Takes back an inherited `ssl`."),
    _row(
        "crt",
        _BIND,
        "<file|directory>",
        _certificate,
        "Certificate with chain and key, or a directory of them; the first is the default one.",
    ),
    _row("crt", _SERVER, "<file>", _server_certificate, "The certificate with key that we show to the server when it asks for one."),
    _row(
        "default-crt",
        _BIND,
        "<file>",
        _default_certificate,
        "A certificate for clients that name no known host; several of different key types may be given.",
        manual="3.0: 5.1",
    ),
    _row("crt-list", _BIND, "<file>", _certificate_list, "A file with one certificate, its own settings and names per line."),
    _row(
        "ca-file",
        _BOTH,
        "<file>",
        _ca("ca_file"),
        "The authorities that the peer's certificate is verified with; `@system-ca` is the system's own list.",
    ),
    _row(
        "ca-verify-file", _BIND, "<file>", _ca("ca_verify_file"), "More authorities for verification whose names are not sent to clients."
    ),
    _row("crl-file", _BOTH, "<file>", _ca("crl_file"), "Revoked certificates, in PEM."),
    _row("no-ca-names", _BIND, "", _flag("ca_names", False), "Does not send the names of the authorities to clients."),
    _row(
        "verify",
        _BIND,
        "[none|optional|required]",
        _verify("none", "optional", "required"),
        "Whether clients must show a certificate.",
        default="none",
    ),
    _row(
        "verify",
        _SERVER,
        "[none|required]",
        _verify("none", "required"),
        "Whether the server's certificate is verified.",
        default="required",
    ),
    _row(
        "verifyhost",
        _SERVER,
        "<name>",
        _text("verifyhost", "a host name"),
        "The name that the server's certificate must have when no SNI is sent.",
    ),
    _row(
        "no-verifyhost",
        _SERVER,
        "",
        lambda state, draft, words: setattr(draft.settings, "verifyhost", None),
        "Takes back an inherited `verifyhost`.",
    ),
    _row(
        "sni",
        _SERVER,
        "<expression>",
        _sni,
        "What is sent as server name and verified, for each connection.",
    ),
    _row(
        "sni-auto",
        _SERVER,
        "",
        _flag("sni_auto", True),
        "Sends the request's Host, without its port, as server name.",
        manual="3.3: 5.2",
        default="on",
    ),
    _row("no-sni-auto", _SERVER, "", _flag("sni_auto", False), "Sends no server name unless `sni` says one.", manual="3.3: 5.2"),
    _row("alpn", _BOTH, "<protocols>", _alpn, "Protocols offered by ALPN, most wanted first.", default="http/1.1 in mode http"),
    _row("no-alpn", _BOTH, "", _no_alpn, "Offers no protocol by ALPN.", manual="2.8: 5.1"),
    _row("ciphers", _BOTH, "<ciphers>", _text("ciphers", "a cipher list"), "Ciphers up to TLS 1.2, in OpenSSL's notation."),
    _row("ciphersuites", _BOTH, "<ciphersuites>", _text("ciphersuites", "a list of cipher suites"), "Cipher suites of TLS 1.3."),
    _row("curves", _BOTH, "<curves>", _text("curves", "a list of curves"), "Groups for the key exchange, most wanted first."),
    _row("ecdhe", _BIND, "<curve>", _text("ecdhe", "a curve"), "The one curve for ECDHE in old files; `curves` prevails."),
    _row(
        "sigalgs",
        _BOTH,
        "<algorithms>",
        _text("sigalgs", "a list of signature algorithms"),
        "Signature algorithms that we use.",
        manual="2.8: 5.1, 5.2",
    ),
    _refused(
        "client-sigalgs",
        _BOTH,
        "<algorithms>",
        "The TLS library gives no access to this list: `sigalgs` holds for certificates of clients too.",
    ),
    _row("ssl-min-ver", _BOTH, _VERSION_LIST, _version("min_version"), "The lowest TLS version that is spoken.", default=DEFAULT_MIN),
    _row("ssl-max-ver", _BOTH, _VERSION_LIST, _version("max_version"), "The highest TLS version that is spoken.", default="TLSv1.3"),
    *(_row(f"force-{suffix}", _BOTH, "", _force, f"Speaks {version} only.") for suffix, version in _SUFFIXES.items() if version != "SSLv3"),
    _refused("force-sslv3", _BOTH, "", "The TLS library has dropped SSLv3: use TLSv1.2 or later."),
    *(_row(f"no-{suffix}", _BOTH, "", _without, f"Does not speak {version}.") for suffix, version in _SUFFIXES.items()),
    _row(
        "tls-tickets",
        _BOTH,
        "",
        _flag("tickets", True),
        "Resumes sessions with tickets; takes back an inherited `no-tls-tickets`.",
        default="on",
    ),
    _row("no-tls-tickets", _BOTH, "", _flag("tickets", False), "Resumes sessions without tickets: within one worker only."),
    _row("strict-sni", _BIND, "", _flag("strict_sni", True), "Refuses clients that name no host which has a certificate."),
    _row(
        "no-strict-sni", _BIND, "", _flag("strict_sni", False), "Takes back a `strict-sni` of ssl-default-bind-options.", manual="3.1: 5.1"
    ),
    _row(
        "prefer-client-ciphers",
        _BIND,
        "",
        _flag("prefer_client_ciphers", True),
        "Lets the client's order of ciphers decide instead of ours.",
    ),
    _row("ca-ignore-err", _BIND, "[all|<errors>]", _errors("ca_ignore_err"), "Verification errors of authorities that are ignored."),
    _row(
        "crt-ignore-err",
        _BIND,
        "[all|<errors>]",
        _errors("crt_ignore_err"),
        "Verification errors of the client's own certificate that are ignored.",
    ),
    _row("ssl-reuse", _SERVER, "", _flag("reuse", True), "Resumes TLS sessions with the server; takes back `no-ssl-reuse`.", default="on"),
    _row("no-ssl-reuse", _SERVER, "", _flag("reuse", False), "Makes a full handshake for each connection to the server."),
    _row(
        "ssl-preset",
        _BIND,
        "[modern|intermediate]",
        _preset,
        "Versions, ciphers and groups as Mozilla's recommendation of that name.",
        ours=True,
        manual="",
    ),
    _refused("allow-0rtt", _BOTH, "", "Early data can be replayed and the TLS library gives no access to it: drop the word."),
    _refused("npn", _BOTH, "<protocols>", "NPN is gone from TLS libraries: use alpn."),
    _refused("generate-certificates", _BIND, "", "Certificates are never made up on the fly: name real ones with crt or crt-list."),
    _refused("ca-sign-file", _BIND, "<file>", "It belongs to generate-certificates, which is not available."),
    _refused("ca-sign-pass", _BIND, "<passphrase>", "It belongs to generate-certificates, which is not available."),
    _refused(
        "tls-ticket-keys",
        _BIND,
        "<file>",
        "Ticket keys are made in memory, rotated and shared by all workers without a file: drop the word.",
    ),
    _refused(
        "ocsp-update", _BIND, "[on|off]", "Staples are read from FILE.ocsp or set with `set ssl ocsp-response`: let a timer fetch them."
    ),
    _refused("ktls", _BOTH, "[on|off]", "Kernel TLS is not available through the TLS library: drop the word."),
    _refused("renegotiate", _SERVER, "", "Renegotiation is never done: drop the word."),
    _refused("ech", _BIND, "<file>", "Encrypted client hello is not available: drop the word."),
)
