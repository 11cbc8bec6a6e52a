"""Rows of section global: TLS.

Sans-io.
Source: HAProxy configuration manual 3.1 ("ssl-…"), 3.2 ("tune.ssl…").
"""

from __future__ import annotations

from common.config import global_words as words
from common.config.global_rows import ANY, one, refused, row
from common.config.keywords import Keyword
from common.config.proxy_words import SectionParser

ROWS: tuple[Keyword[SectionParser], ...] = (
    one("issuers-chain-path", "<directory>", words.extra, "Certificates that complete chains which a crt file lacks."),
    one("ssl-default-bind-ciphers", "<ciphers>", words.ssl_default("bind", "ciphers"), "`ciphers` of bind lines without."),
    one(
        "ssl-default-bind-ciphersuites",
        "<ciphersuites>",
        words.ssl_default("bind", "ciphersuites"),
        "`ciphersuites` of bind lines without.",
    ),
    one("ssl-default-bind-curves", "<curves>", words.ssl_default("bind", "curves"), "`curves` of bind lines without."),
    one("ssl-default-bind-sigalgs", "<algorithms>", words.ssl_default("bind", "sigalgs"), "`sigalgs` of bind lines without.", "2.8: 3.1"),
    refused(
        "ssl-default-bind-client-sigalgs", "The TLS library gives no access to this list: `ssl-default-bind-sigalgs` holds instead."
    ),
    row(
        "ssl-default-bind-options",
        "[<option>…]",
        words.ssl_default_bind_options,
        "Versions, tickets and preferences for all bind lines.",
        1,
        ANY,
    ),
    one("ssl-default-server-ciphers", "<ciphers>", words.ssl_default("server", "ciphers"), "`ciphers` of server lines without."),
    one(
        "ssl-default-server-ciphersuites",
        "<ciphersuites>",
        words.ssl_default("server", "ciphersuites"),
        "`ciphersuites` of server lines without.",
    ),
    one("ssl-default-server-curves", "<curves>", words.ssl_default("server", "curves"), "`curves` of server lines without.", "2.9: 3.1"),
    one(
        "ssl-default-server-sigalgs",
        "<algorithms>",
        words.ssl_default("server", "sigalgs"),
        "`sigalgs` of server lines without.",
        "2.9: 3.1",
    ),
    refused(
        "ssl-default-server-client-sigalgs", "The TLS library gives no access to this list: `ssl-default-server-sigalgs` holds instead."
    ),
    row(
        "ssl-default-server-options",
        "[<option>…]",
        words.ssl_default_server_options,
        "Versions, tickets and reuse for all server lines.",
        1,
        ANY,
    ),
    one("ssl-dh-param-file", "<file>", words.extra, "Parameters for DHE ciphers of TLS 1.2."),
    row("ssl-load-extra-del-ext", "", words.switch, "Looks for FILE.key beside FILE.crt instead of FILE.crt.key."),
    row(
        "ssl-load-extra-files",
        "[none|all|bundle|sctl|ocsp|issuer|key …]",
        words.extra_files,
        "Which files beside a certificate are looked for.",
        1,
        ANY,
        default="all",
    ),
    one("ssl-security-level", "<0..5>", words.checked(words.number(0, 5)), "OpenSSL's security level.", "3.1: 3.1"),
    one("ssl-server-verify", "[none|required]", words.ssl_server_verify, "`verify` of server lines without.", default="required"),
    row("ssl-skip-self-issued-ca", "", words.switch, "Does not send self-signed roots to clients."),
    one(
        "tune.ssl.cachesize",
        "<number>",
        words.tune(words.session_cache),
        "Sessions kept for resumption without tickets: 0 for none; the library's own limit of 20480 holds otherwise.",
        "3.2",
        default="20000",
    ),
    one(
        "tune.ssl.capture-buffer-size",
        "<number>",
        words.tune(words.number()),
        "Bytes of the client's hello kept for the fetches about it.",
        "3.2",
        default="0",
    ),
    one("tune.ssl.capture-cipherlist-size", "<number>", words.tune(words.number()), "Older name of tune.ssl.capture-buffer-size.", "3.2"),
    one(
        "tune.ssl.default-dh-param",
        "<number>",
        words.tune(words.number(1024, 16384)),
        "Bits of DH parameters where none are given.",
        "3.2",
        default="2048",
    ),
    one(
        "tune.ssl.hard-maxrecord",
        "<number>",
        words.tune(words.number(0, 16384)),
        "The most bytes in one TLS record.",
        "3.2",
        default="0: no limit",
    ),
    one(
        "tune.ssl.keylog",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Keeps TLS secrets for the fetches that show them; for debugging.",
        "3.2",
        default="off",
    ),
    one(
        "tune.ssl.lifetime",
        "<time>",
        words.tune(words.duration("s")),
        "How long a session may be resumed; a bare number counts in seconds.",
        "3.2",
        default="300",
    ),
    one(
        "tune.ssl.maxrecord",
        "<number>",
        words.tune(words.number(0, 16384)),
        "Bytes per TLS record at the start of an answer.",
        "3.2",
        default="0: no limit",
    ),
)
