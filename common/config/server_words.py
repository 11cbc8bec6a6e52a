"""The settings of `server` and `default-server` lines.

HAProxy's `no-` forms exist for words that an earlier default-server may have set. Words that HAProxy accepts on `server` alone
are marked so.
Sans-io.
Source: HAProxy configuration manual 5.2.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from common.config.address import CHECK, SOURCE, AddressError, Form, Ports, parse_address, parse_addresses
from common.config.bind import time_argument, whole_number
from common.config.draft import ServerDraft, State
from common.config.line_words import WordParser
from common.config.statement import Words
from common.config.suggest import did_you_mean
from common.config.values import is_identifier

ServerParser = WordParser[ServerDraft]

WEIGHT_MAX = 256
PIPELINE_MAX = 1024
PROXY_V2_OPTIONS = ("ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id")
_TLV = re.compile(r"set-proxy-v2-tlv-fmt\((0[xX][0-9a-fA-F]{1,2}|[1-9][0-9]{0,2}|0)\)")
_ADDRESS_ONLY = Form(ports=Ports.NONE, fd=False)


def keep(state: State, draft: ServerDraft, words: Words) -> None:
    """A word without argument that goes to Server.options."""
    draft.server.options[words.texts[words.position - 1]] = ()


def drop(*names: str) -> ServerParser:
    """`no-…`: the word is taken back."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        for name in names:
            draft.server.options.pop(name, None)

    return parse


def instead(*names: str) -> ServerParser:
    """A word without argument, and what it takes back."""
    take_back = drop(*names)

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        take_back(state, draft, words)
        keep(state, draft, words)

    return parse


def set_field(name: str, value: object) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        setattr(draft.server, name, value)

    return parse


def number(name: str, *, least: int = 0, most: int = 2**31 - 1) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        setattr(draft.server, name, whole_number(words, least=least, most=most))

    return parse


def number_option(*, least: int = 0, most: int = 2**31 - 1) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (str(whole_number(words, least=least, most=most)),)

    return parse


def time_option(*, positive: bool = True) -> ServerParser:
    """A time that goes to Server.options in milliseconds with unit, as the run time reads it ("2000ms")."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        time_argument(words, positive=positive)
        draft.server.options[keyword] = (words.texts[words.position - 1],)

    return parse


def text_option(what: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (words.required(what),)

    return parse


def _choice(words: Words, allowed: Collection[str]) -> str:
    keyword = words.texts[words.position - 1]
    value = words.required(f"one of {', '.join(allowed)}")
    if value not in allowed:
        choices = ", ".join(f"'{word}'" for word in allowed)
        raise words.fault(f"'{keyword}' only supports {choices} (got '{value}'){did_you_mean(value, allowed)}")
    return value


def choice_option(*allowed: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (_choice(words, allowed),)

    return parse


def list_option(*allowed: str) -> ServerParser:
    """A comma-delimited list of known words."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        items = tuple(words.required("a comma-delimited list").split(","))
        for item in items:
            if item not in allowed:
                raise words.fault(f"'{keyword}' : unknown option '{item}'{did_you_mean(item, allowed)}", f"Known are {', '.join(allowed)}.")
        draft.server.options[keyword] = items

    return parse


def weight(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("a weight")
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise words.fault(f"'weight' expects an integer argument, got '{text}'")
    if not 0 <= int(text) <= WEIGHT_MAX:
        raise words.fault(f"weight of server {draft.server.name} is not within 0 and {WEIGHT_MAX} ({text}).")
    draft.server.weight = int(text)


def check(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.check = True


def check_address(state: State, draft: ServerDraft, words: Words) -> None:
    keyword = words.texts[words.position - 1]
    text = words.required("an address")
    try:
        address = parse_address(text, CHECK)
    except AddressError as error:
        raise words.fault(f"'{keyword}' : {error.message}", error.hint) from None
    draft.server.options[keyword] = (text,)
    if address.port and keyword == "addr":
        draft.server.options["port"] = (str(address.port),)


def agent_address(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("an address")
    try:
        parse_address(text, _ADDRESS_ONLY)
    except AddressError as error:
        raise words.fault(f"'agent-addr' : {error.message}", error.hint) from None
    draft.server.options["agent-addr"] = (text,)


def cookie(state: State, draft: ServerDraft, words: Words) -> None:
    value = words.required("<value> as argument")
    if re.search(r"[\x00-\x20\";,\\\x7f]", value):
        raise words.fault(f"'cookie' : '{value}' has characters that no cookie may hold", "Use letters, digits and the like.")
    draft.server.cookie = value


def send_proxy(version: int, *options: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        draft.server.send_proxy = version
        draft.server.proxy_v2_options |= frozenset(options)

    return parse


def no_send_proxy(*options: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        draft.server.send_proxy = 0
        draft.server.proxy_v2_options -= frozenset(options)

    return parse


def proxy_v2_options(state: State, draft: ServerDraft, words: Words) -> None:
    items = words.required("a comma-delimited list of options").split(",")
    for item in items:
        if item not in PROXY_V2_OPTIONS:
            near = did_you_mean(item, PROXY_V2_OPTIONS)
            raise words.fault(f"'proxy-v2-options' : unknown proxy v2 option '{item}'{near}", f"Known are {', '.join(PROXY_V2_OPTIONS)}.")
    draft.server.proxy_v2_options |= frozenset(items)


def tlv(state: State, draft: ServerDraft, words: Words) -> None:
    """`set-proxy-v2-tlv-fmt(0xE1) <format>`; several ids add up."""
    keyword = words.texts[words.position - 1]
    match = _TLV.fullmatch(keyword)
    if not match or int(match[1], 0) > 255:
        raise words.fault(
            f"'{keyword}' : a TLV type from 0 to 255 is expected in the parentheses", "For example: set-proxy-v2-tlv-fmt(0xE1) %[src]"
        )
    draft.server.options[keyword] = (words.required("a log-format"),)
    draft.format_positions.append(words.position - 1)


def source(state: State, draft: ServerDraft, words: Words) -> None:
    """`source <addr>[:<port>[-<port>]] [interface <name>]`."""
    text = words.required("<addr>[:<port>[-<port>]], and optionally '[interface|usesrc] <name>' as argument")
    arguments = [text]
    if words.peek() == "usesrc":
        raise words.statement.fault(
            "'usesrc' is not supported by Usher",
            words.position,
            "Connecting with the client's address needs a router's help: use send-proxy-v2.",
        )
    try:
        addresses = parse_addresses(text, SOURCE)
    except AddressError as error:
        raise words.fault(f"'source' : {error.message}", error.hint) from None
    if words.peek() == "interface":
        words.next()
        arguments += ["interface", words.required("an interface name")]
    draft.server.source = addresses[0]
    draft.server.options["source"] = tuple(arguments)


def init_address(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of methods").split(","))
    for item in items:
        if item not in ("last", "libc", "none") and not _is_ip(item):
            raise words.fault(f"'init-addr' : unknown method '{item}'", "Known are last, libc, none and an IP address.")
    draft.server.options["init-addr"] = items


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def networks(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of networks").split(","))
    for item in items:
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise words.fault(f"'resolve-net' : '{item}' is no network", "For example: 10.0.0.0/8") from None
    draft.server.options["resolve-net"] = items


def track(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("[<proxy>/]<server>")
    if not all(is_identifier(part) for part in text.split("/")) or text.count("/") > 1:
        raise words.fault(f"'track' expects [<proxy>/]<server> as argument, got '{text}'")
    draft.server.options["track"] = (text,)


def redirection(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.redir = words.required("<prefix>")


def proto(state: State, draft: ServerDraft, words: Words) -> None:
    keyword = words.texts[words.position - 1]
    name = words.required("a protocol name")
    if name in ("h2", "fcgi", "quic", "h3", "spop"):
        raise words.fault(f"'{keyword}' : '{name}' is not spoken by Usher", "Servers are spoken to with HTTP/1.1: write h1 or drop it.")
    if name not in ("h1", "none"):
        raise words.fault(f"'{keyword}' : unknown MUX protocol '{name}'", "Known are h1 and none.")
    draft.server.options[keyword] = (name,)


def alpn_option(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of protocols").split(","))
    if any(not 0 < len(item) <= 255 for item in items):
        raise words.fault("'check-alpn' : protocol names have 1 to 255 characters")
    draft.server.options["check-alpn"] = items


def server_id(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.id = whole_number(words, least=1)


def guid(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("an identifier")
    if not is_identifier(text):
        raise words.fault(f"'guid' : '{text}' has characters other than letters, digits, '-', '_', '.' and ':'")
    draft.server.guid = text


def no_tfo(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.options.pop("tfo", None)


def purge_delay(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.pool_purge_delay = time_argument(words)


def never(state: State, draft: ServerDraft, words: Words) -> None:
    """Parser of rows that are refused or have no effect: never called."""
