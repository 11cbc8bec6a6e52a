"""Checks that know a protocol: SSL hello, SMTP, Redis, MySQL, PostgreSQL, LDAP, and HAProxy's agents. Sans-io.

Source: HAProxy configuration manual 4.2 "option ssl-hello-chk|smtpchk|redis-check|mysql-check|pgsql-check|ldap-check", 5.2
"agent-check"; RFC 5246 7.4.1.2, RFC 5321 4.2, RFC 4511 4.2; the protocol pages of MySQL ("Connection Phase") and PostgreSQL
("Message Formats"). Texts and the results of refusals observed from 2.6.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final

from common.acl.facts import Facts
from common.health.outcome import Outcome, printable
from common.health.steps import MORE, Connect, Expect, Judge, Script, Send, Step, Style, Text, Verdict

_HELLO_RANDOM: Final = b"usher health check, SSL hello..."  # 32 bytes: nobody encrypts anything with it
_SUITES: Final = b"".join(number.to_bytes(2, "big") for number in (*range(0x01, 0x1C), *range(0x2F, 0x3B)))
_LDAP_BIND: Final = bytes.fromhex("300c020101600702010304008000")  # version 3, no name, no password
_LDAP_RESULTS: Final = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"
_REPLY: Final = re.compile(rb"([0-9]{3})([ -])([^\r\n]*)\r?\n")
_SMTP_LINE_MAX: Final = 8192
_MYSQL_CLIENT_41: Final = 0x8200  # CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION
_MYSQL_PACKET_MAX_BYTES: Final = 0x01008000
_MYSQL_CLIENT_OLD: Final = 0x8000  # CLIENT_SECURE_CONNECTION
_MYSQL_UTF8: Final = 33
_MYSQL_QUIT: Final = b"\x01\0\0\0\x01"
_MYSQL_LOGIN: Final = Struct("<IIB23x")
_MYSQL_ERROR: Final = 0xFF
_MYSQL_OK: Final = 0x00


def ready_made(name: str, words: tuple[str, ...]) -> Script:
    """The check of `option NAME words…`."""
    makers = {
        "ssl-hello-chk": _ssl_hello,
        "smtpchk": _smtp,
        "redis-check": _redis,
        "mysql-check": _mysql,
        "pgsql-check": _postgresql,
        "ldap-check": _ldap,
    }
    return makers[name](words)


def _script(*steps: Step, counted: bool = False) -> Script:
    """counted: in HAProxy the connection counts as the first step, as messages show; and it ends in order, for these servers
    count aborted ones."""
    return Script(Style.READY, (Connect(server_defaults=True, implicit=not counted, linger=counted), *steps))


def _send(data: bytes) -> Send:
    text: Text = lambda facts: data  # noqa: E731
    return Send(text)


def _refused(name: str, code: int, text: bytes) -> Verdict:
    return Verdict(True, False, Outcome(name, code, printable(text)))


def _fine(info: str = "", code: int = 0) -> Verdict:
    return Verdict(True, True, Outcome("L7OK", code, info))


# --- SSL ----------------------------------------------------------------------------------------------------------------


def _ssl_hello(_words: tuple[str, ...]) -> Script:
    """An SSLv3 hello without extensions: any answer in a handshake or alert record proves that SSL is spoken."""
    body = b"\x03\0" + _HELLO_RANDOM + b"\0" + len(_SUITES).to_bytes(2, "big") + _SUITES + b"\x01\0"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    record = b"\x16\x03\0" + len(handshake).to_bytes(2, "big") + handshake

    def judge(_facts: Facts, data: bytes, _ended: bool) -> Verdict:
        if not data:
            return MORE
        return Verdict(True, data[0] in (0x15, 0x16), Outcome("L6RSP"))

    return _script(_send(record), Expect(judge, ok="L6OK", error="L6RSP", timeout="L6TOUT"))


# --- SMTP ---------------------------------------------------------------------------------------------------------------


def _smtp(words: tuple[str, ...]) -> Script:
    """Banner, HELO or EHLO, QUIT: each is to be answered with 2xx; answers may have several lines."""
    hello, domain = (words[0], words[1]) if len(words) > 1 and words[0] in ("HELO", "EHLO") else ("HELO", "localhost")
    expect = Expect(_smtp_reply)
    return _script(expect, _send(f"{hello} {domain}\r\n".encode()), expect, _send(b"QUIT\r\n"), expect, counted=True)


def _smtp_reply(_facts: Facts, data: bytes, ended: bool) -> Verdict:
    at = 0
    while line := _REPLY.match(data, at):
        at = line.end()
        if line[2] == b" ":
            code = int(line[1])
            return _fine(printable(line[3]), code) if line[1].startswith(b"2") else _refused("L7STS", code, line[3])
    if ended or b"\n" in data[at:] or len(data) > _SMTP_LINE_MAX:
        return _refused("L7RSP", 0, data[at:].partition(b"\n")[0])
    return MORE


# --- Redis --------------------------------------------------------------------------------------------------------------


def _redis(_words: tuple[str, ...]) -> Script:
    def judge(_facts: Facts, data: bytes, ended: bool) -> Verdict:
        if data.startswith(b"+PONG\r\n"):
            return _fine("Redis server is ok")
        line, newline, _ = data.partition(b"\r\n")
        return _refused("L7STS", 0, line) if newline or ended else MORE

    return _script(_send(b"*1\r\n$4\r\nPING\r\n"), Expect(judge, error="L7STS"))


# --- MySQL --------------------------------------------------------------------------------------------------------------


def _mysql(words: tuple[str, ...]) -> Script:
    greeting = Expect(_mysql_greeting)
    if "user" not in words:
        return _script(greeting, counted=True)
    user = words[words.index("user") + 1].encode()
    if "pre-41" in words:
        body = _MYSQL_CLIENT_OLD.to_bytes(2, "little") + b"\0\0\x01" + user + b"\0\0"
    else:
        body = _MYSQL_LOGIN.pack(_MYSQL_CLIENT_41, _MYSQL_PACKET_MAX_BYTES, _MYSQL_UTF8) + user + b"\0\0"
    login = len(body).to_bytes(3, "little") + b"\x01" + body + _MYSQL_QUIT
    return _script(greeting, _send(login), Expect(_mysql_result), counted=True)


def _mysql_packet(data: bytes, ended: bool) -> bytes | Verdict:
    """The payload of the first packet, or that there is none (yet)."""
    if len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:3], "little"):
        payload = data[4 : 4 + int.from_bytes(data[:3], "little")]
        return payload or _refused("L7RSP", 0, b"")
    return _refused("L7RSP", 0, b"") if ended else MORE


def _mysql_greeting(_facts: Facts, data: bytes, ended: bool) -> Verdict:
    packet = _mysql_packet(data, ended)
    if isinstance(packet, Verdict):
        return packet
    if packet[0] == _MYSQL_ERROR:
        return _mysql_error(packet)
    version, end, _ = packet[1:].partition(b"\0")
    return _fine(printable(version)) if end else _refused("L7RSP", 0, b"")


def _mysql_result(_facts: Facts, data: bytes, ended: bool) -> Verdict:
    """What is told of a login that succeeded is the version that the greeting told."""
    packet = _mysql_packet(data, ended)
    if isinstance(packet, Verdict):
        return packet
    if packet[0] == _MYSQL_ERROR:
        return _mysql_error(packet)
    return _fine()


def _mysql_error(packet: bytes) -> Verdict:
    return _refused("L7STS", int.from_bytes(packet[1:3], "little"), packet[3:])


# --- PostgreSQL ---------------------------------------------------------------------------------------------------------


def _postgresql(words: tuple[str, ...]) -> Script:
    user = words[words.index("user") + 1].encode() if "user" in words else b""
    body = b"\0\x03\0\0user\0" + user + b"\0\0"
    startup = (len(body) + 4).to_bytes(4, "big") + body
    return _script(_send(startup), Expect(_postgresql_answer), counted=True)


def _postgresql_answer(_facts: Facts, data: bytes, ended: bool) -> Verdict:
    """An error names its severity first ("SFATAL"), an authentication request is R and a length of at least 8."""
    if data.startswith(b"E"):
        message = re.search(rb"\0M([^\0]*)\0", data)
        if not message and not ended and len(data) < 5 + int.from_bytes(data[1:5].ljust(4, b"\xff"), "big") - 4:
            return MORE
        severity = data[6:].partition(b"\0")[0]
        return _refused("L7RSP", 0, severity + (b" " + message[1] if message else b""))
    if data.startswith(b"R"):
        if len(data) < 9:
            return _refused("L7RSP", 0, b"") if ended else MORE
        return _fine("PostgreSQL server is ok")
    return _refused("L7STS", 0, b"PostgreSQL unknown error") if data else MORE


# --- LDAP ---------------------------------------------------------------------------------------------------------------


def _ldap(_words: tuple[str, ...]) -> Script:
    return _script(_send(_LDAP_BIND), Expect(_ldap_answer))


def _ldap_answer(_facts: Facts, data: bytes, ended: bool) -> Verdict:
    """LDAPMessage ::= SEQUENCE { messageID, [APPLICATION 1] { resultCode ENUMERATED … } }; lengths in short or long form."""
    not_ldap = _refused("L7RSP", 0, b"Not LDAPv3 protocol")
    if data and data[0] != 0x30:
        return not_ldap
    message, number = _ber(data, 0), -1
    if message is not None:
        identity = _ber(data, message)
        if identity is not None:
            number = identity + data[message + 1]
    if number < 0 or len(data) < number + 2:
        return not_ldap if ended else MORE
    if data[number] != 0x61:
        return not_ldap
    result = _ber(data, number)
    if result is None or len(data) < result + 3:
        return not_ldap if ended else MORE
    if data[result : result + 2] != b"\x0a\x01":
        return not_ldap
    code = data[result + 2]
    return _fine("Success") if code == 0 else _refused("L7STS", code, _LDAP_RESULTS.encode())


def _ber(data: bytes, at: int) -> int | None:
    """Where the content of the element at `at` begins; None if its head has not come."""
    if len(data) < at + 2:
        return None
    length = data[at + 1]
    begin = at + 2 + (length & 0x7F if length & 0x80 else 0)
    return begin if len(data) > begin else None


def first_line(data: bytes) -> bytes | None:
    """Up to the first CR or LF; None without one: half a line could say another thing than the whole one."""
    found = re.search(rb"[\r\n]", data)
    return data[: found.start()] if found else None


def agent_script(send: bytes) -> Script:
    """Connect, say what `agent-send` says, read a line. The outcome's info is the line: common/health/agent.py reads it."""

    def judge(_facts: Facts, data: bytes, ended: bool) -> Verdict:
        line = first_line(data)
        if line is None:
            return _refused("L7RSP", 0, b"line without an end") if ended else MORE
        return _fine(line.decode("utf-8", "replace"))

    typed: Judge = judge
    steps = (_send(send), Expect(typed)) if send else (Expect(typed),)
    return Script(Style.READY, (Connect(implicit=False), *steps))
