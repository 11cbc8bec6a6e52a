"""What is under construction while a file is read: proxies that may still change, and the state of the whole reading.

A defaults section is a proxy draft too; a section that follows starts as a copy of it (`ProxyDraft.heir`).
Sans-io.
Source: HAProxy configuration manual 4 ("defaults" … "from"), 5.2 ("default-server").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from common.acl.environment import CompileEnvironment
from common.config.diagnostics import Diagnostic, Report, Severity
from common.config.environment import Environment
from common.config.keywords import FRONTENDS, Section
from common.config.options import LoadOptions
from common.config.statement import Statement
from common.model import Acl, Address, AddressKind, Condition, Config, Place, Proxy, Rule, Server, Timeouts, Tls

T = TypeVar("T")
_PLANS: dict[type, tuple[str, ...]] = {}
_OWNED = (list, dict)
_NESTED = (Tls, Timeouts)
_ACL_FETCH = re.compile(r"(?<![a-z_])acl\(([^()]*)\)")


def copied(value: T) -> T:
    """A dataclass copied so deep that lists, dicts and nested settings are its own. Written for speed: every proxy starts with one."""
    kind = type(value)
    plan = _PLANS.get(kind)
    if plan is None:
        plan = _PLANS[kind] = tuple(one.name for one in fields(kind))  # type: ignore[arg-type]
    twin = object.__new__(kind)
    for name in plan:
        content = getattr(value, name)
        if type(content) in _OWNED:
            content = content.copy()
        elif type(content) in _NESTED:
            content = copied(content)
        setattr(twin, name, content)
    return twin


@dataclass(slots=True)
class TlsDraft:
    """TLS settings of a line before it is known whether it uses TLS. disabled: versions taken out by no-tlsvNN."""

    settings: Tls = field(default_factory=Tls)
    enabled: bool = False
    disabled: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)  # those given, for the check that they have an effect
    sni_position: int = -1  # argument of the line that the `sni` expression is; -1 = it is inherited, or there is none

    def heir(self) -> TlsDraft:
        return TlsDraft(copied(self.settings), self.enabled, set(self.disabled), list(self.words))


@dataclass(slots=True)
class ServerDraft:
    """A server line, or the sum of the default-server lines before it."""

    server: Server = field(default_factory=lambda: Server(Place(), "", Address(AddressKind.INET)))
    tls: TlsDraft = field(default_factory=TlsDraft)
    format_positions: list[int] = field(default_factory=list)  # arguments of the line that are log-formats

    def heir(self) -> ServerDraft:
        return ServerDraft(copied(self.server), self.tls.heir())


@dataclass(frozen=True, slots=True)
class Deferred:
    """Something to compile once the whole configuration is known. start: argument that the compiler's word 0 is.

    acl: the `acl` line that it is, if it is one. origin: the defaults section that said it, None = the section itself.
    """

    statement: Statement
    start: int
    lead: str
    compile: Callable[[CompileEnvironment], None]
    acl: Acl | None = None
    origin: ProxyDraft | None = None


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """One errorfile, errorfiles, errorloc or http-error line, as far as it was read. statuses: () = all of the section."""

    keyword: str
    statuses: tuple[int, ...]
    value: tuple[str, ...]
    place: Place
    argument_place: Place


@dataclass(slots=True)
class ProxyDraft:
    """A proxy section, or a defaults section (section is DEFAULTS), in the making.

    given: the keywords that this section itself has, with the place of the first. source: the defaults section it started from.
    own_rules_from, own_acls_from: how many of each were inherited.
    """

    section: Section
    proxy: Proxy
    servers: list[ServerDraft] = field(default_factory=list)
    template: ServerDraft = field(default_factory=ServerDraft)
    given: dict[str, Place] = field(default_factory=dict)
    source: ProxyDraft | None = None
    used_by: list[str] = field(default_factory=list)
    used_implicitly: bool = False
    used_explicitly: bool = False
    mixed_use: bool = False  # both, and told so
    used_for: set[Section] = field(default_factory=set)  # kinds of proxies that took rules from this defaults section
    reset: set[str] = field(default_factory=set)  # inherited lists that this section has begun to replace
    deferred: list[Deferred] = field(default_factory=list)
    table_uses: list[tuple[str, Place]] = field(default_factory=list)  # tables that rules name ("" = the proxy's own), and where
    error_lines: list[ErrorLine] = field(default_factory=list)
    own_rules_from: int = 0
    own_acls_from: int = 0

    @property
    def title(self) -> str:
        """As messages name it: "frontend 'web'"."""
        name = self.proxy.name
        return f"{self.section.title} '{name}'" if name else f"anonymous {self.section.title} section"

    @property
    def can_listen(self) -> bool:
        return self.proxy.frontend

    @property
    def can_forward(self) -> bool:
        return self.proxy.backend

    def heir(self, section: Section, place: Place, name: str) -> ProxyDraft:
        """A new section that starts with the settings of this defaults section."""
        proxy = copied(self.proxy)
        proxy.place, proxy.name = place, name
        proxy.frontend = section is Section.DEFAULTS or bool(section & FRONTENDS)
        proxy.backend = section is Section.DEFAULTS or section in Section.BACKEND | Section.LISTEN
        if section is not Section.DEFAULTS:
            _rename_acls(proxy, self.proxy.name)
        return ProxyDraft(
            section,
            proxy,
            template=self.template.heir(),
            source=self,
            error_lines=list(self.error_lines),
            deferred=[replace(waiting, origin=waiting.origin or self) for waiting in self.deferred],
            own_rules_from=len(proxy.rules),
            own_acls_from=len(proxy.acls),
        )

    @property
    def own_rules(self) -> list[Rule]:
        return self.proxy.rules[self.own_rules_from :]

    @property
    def declared_acls(self) -> list[Acl]:
        """The ACLs that this section's own lines can name: not those of its defaults section."""
        return self.proxy.acls[self.own_acls_from :]


def _rename_acls(proxy: Proxy, source: str) -> None:
    """ACLs of a defaults section are its own: a section may use the same names for others (manual 4.2 "acl").

    So the inherited ones become "SOURCE/NAME", which no one can write, in `acl` lines, conditions and the `acl()` fetch.
    """
    names = {acl.name: f"{source}/{acl.name}" for acl in proxy.acls if "/" not in acl.name}
    if not names:
        return
    proxy.acls = [replace(acl, name=names.get(acl.name, acl.name), words=_renamed_fetch(acl.words, names)) for acl in proxy.acls]
    proxy.rules = [
        replace(rule, words=_renamed_fetch(rule.words, names), condition=_renamed(rule.condition, names)) for rule in proxy.rules
    ]


def _renamed(condition: Condition | None, names: Mapping[str, str]) -> Condition | None:
    if condition is None:
        return None
    words, depth = [], 0
    for word in _renamed_fetch(condition.words, names):
        name = word.lstrip("!")
        depth += (name == "{") - (name == "}")
        words.append(word if depth or name not in names else word[: len(word) - len(name)] + names[name])
    return replace(condition, words=tuple(words))


def _renamed_fetch(words: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    def one_call(match: re.Match[str]) -> str:
        items = [(item[: len(item) - len(item.lstrip("!"))], item.lstrip("!")) for item in match[1].split(",")]
        return "acl(" + ",".join(mark + names.get(name, name) for mark, name in items) + ")"

    return tuple(_ACL_FETCH.sub(one_call, word) if "acl(" in word else word for word in words)


def fresh_defaults(place: Place, name: str) -> ProxyDraft:
    """A defaults section that says nothing yet: HAProxy's documented defaults."""
    return ProxyDraft(Section.DEFAULTS, Proxy(place, name, frontend=True, backend=True))


@dataclass(slots=True)
class State:
    """Everything known so far about the configuration being read."""

    config: Config
    report: Report
    environment: Environment
    options: LoadOptions
    lines: dict[str, list[str]] = field(default_factory=dict)  # of each file, as written
    proxies: list[ProxyDraft] = field(default_factory=list)
    frontends: dict[str, ProxyDraft] = field(default_factory=dict)  # those that can listen, by name; the first of a name
    backends: dict[str, ProxyDraft] = field(default_factory=dict)  # those that can forward
    defaults: ProxyDraft = field(default_factory=lambda: fresh_defaults(Place(), ""))
    named_defaults: dict[str, ProxyDraft] = field(default_factory=dict)
    every_defaults: list[ProxyDraft] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)  # of sections that are no proxies
    duplicate_defaults: set[str] = field(default_factory=set)
    tls_binds: TlsDraft = field(default_factory=TlsDraft)  # ssl-default-bind-options
    tls_servers: TlsDraft = field(default_factory=TlsDraft)
    sockets: int = 0  # listening sockets so far
    templated: int = 0  # servers made by server-template lines so far
    unix_bind: dict[str, object] = field(default_factory=dict)  # fields of Bind that unix-bind presets
    group_members: list[tuple[str, str, str, Place]] = field(default_factory=list)  # userlist, group, user, where it is said
    store_bases: tuple[str, str] = ("", "")  # crt-base and key-base of the crt-store that is being read
    default_path: tuple[str, str] = ("current", "")
    ca_base: str = ""
    crt_base: str = ""
    global_given: dict[str, Place] = field(default_factory=dict)
    experimental: bool = False
    server_verify: str = ""  # ssl-server-verify

    def enter(self, file: str) -> bool:
        """Apply default-path for a file that is about to be read; False if another directory than before comes out."""
        policy, origin = self.default_path
        if policy == "current":
            return True
        own = file.rpartition("/")[0] + "/" if "/" in file else ""
        directory = {"config": own or ".", "parent": f"{own}..", "origin": origin}[policy]
        before, self.config.directory = self.config.directory, directory
        return before in ("", directory)

    def read(self, path: str) -> bytes:
        """The bytes of a file that a line names, relative names as default-path says; b"" when files are not looked at. Raises OSError."""
        reader = self.options.read_file
        if reader is None:
            return b""
        directory = self.config.directory
        return reader(path if path.startswith("/") or not directory else f"{directory.rstrip('/')}/{path}")

    def alert_at(self, place: Place, message: str, hint: str = "", slug: str = "", *, whole: bool = False) -> None:
        """whole: about a section or the configuration; HAProxy names no line then (see diagnostics.py)."""
        self._add(Severity.ALERT, place, message, hint, slug, whole)

    def warn_at(self, place: Place, message: str, hint: str = "", slug: str = "", *, whole: bool = False) -> None:
        self._add(Severity.WARNING, place, message, hint, slug, whole)

    def note_at(self, place: Place, message: str, hint: str = "", slug: str = "", *, whole: bool = False) -> None:
        self._add(Severity.NOTICE, place, message, hint, slug, whole)

    def _add(self, severity: Severity, place: Place, message: str, hint: str, slug: str, whole: bool) -> None:
        text = self.text_of(place)
        width = len(text.rstrip()) - place.column + 1 if place.column else 1
        self.report.add(Diagnostic(severity, place, message, hint=hint, text=text, width=max(width, 1), slug=slug, whole=whole))

    def text_of(self, place: Place) -> str:
        """The line at a place, for findings that are made after the file was read."""
        lines = self.lines.get(place.file, [])
        return lines[place.line - 1] if 0 < place.line <= len(lines) else ""


@dataclass(slots=True)
class Scope:
    """What a parser may touch: the state, the section it reads for, and the proxy under construction if that is one."""

    state: State
    section: Section
    name: str = ""
    draft: ProxyDraft | None = None

    @property
    def proxy(self) -> Proxy:
        return self.proxy_draft.proxy

    @property
    def proxy_draft(self) -> ProxyDraft:
        assert self.draft is not None, "a proxy keyword in another section: the table says otherwise"
        return self.draft

    @property
    def environment(self) -> Mapping[str, str]:
        return self.state.environment.variables

    @property
    def title(self) -> str:
        if self.draft is not None:
            return self.draft.title
        return f"{self.section.title} '{self.name}'" if self.name else f"'{self.section.title}' section"
