"""Authorities and revocations changed while the service runs: `… ssl ca-file`, `… ssl crl-file`.

As with certificates, a change is prepared in a transaction and goes live as a whole; connections that have begun keep what they have.
Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.errors import ConfigError
from common.process.commands import Asked
from worker import certificate_text as text
from worker.commands import COMMANDS
from worker.trust import TrustFile, parse
from worker.world import World


@dataclass(frozen=True, slots=True)
class TrustChange:
    """The transaction of one kind."""

    name: str
    found: TrustFile


@dataclass(frozen=True, slots=True)
class _Kind:
    """The words for authorities or for revocations."""

    keyword: str
    what: str  # of TrustFile
    title: str
    counted: str


_CA = _Kind("ca-file", "CA", "CA file", "certificate(s)")
_CRL = _Kind("crl-file", "CRL", "CRL file", "CRL(s)")
_KINDS = (_CA, _CRL)


def _set(asked: Asked[World], kind: _Kind, *, adds: bool = False) -> str:
    name, world = asked.word(3), asked.world
    change = world.trust_changes.get(kind.what)
    if not name or not asked.payload:
        return f"'set ssl {kind.keyword}' expects a filename and {kind.title}s as a payload\n"
    if change is not None and change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to set '{name}'\nCan't update {name}!\n"
    held = _held(world, kind).get(name)
    if held is None:
        return f"Can't replace a {kind.title} which is not referenced by the configuration!\nCan't update {name}!\n"
    try:
        found = parse(name, asked.payload.encode(), kind.what)
        if kind is _CRL and not found.crls:
            raise ConfigError("unable to load CRL: no PEM list in it")
    except ConfigError as error:
        return f"{error}.\nCan't load the payload\nCan't update {name}!\n"
    if adds:
        base = change.found if change is not None else held
        found = TrustFile(kind.what, (*base.certificates, *found.certificates), (*base.crls, *found.crls))
    world.trust_changes[kind.what] = TrustChange(name, found)
    return f"transaction {'updated' if change is not None else 'created'} for {kind.what} {name}!\n"


def _commit(asked: Asked[World], kind: _Kind) -> str:
    name, world = asked.word(3), asked.world
    change = world.trust_changes.get(kind.what)
    if not name:
        return f"'commit ssl {kind.keyword}' expects a filename\n"
    if change is None:
        return f"No ongoing transaction! !\nCan't commit {name}!\n"
    if change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to set '{name}'\nCan't commit {name}!\n"
    before = world.authorities.held[name]
    del world.trust_changes[kind.what]
    world.authorities.replace(name, change.found)
    try:
        users = _retrust(world, name)
    except ConfigError as error:
        world.authorities.replace(name, before)
        _retrust(world, name)
        return f"{error}.\nCan't commit {name}!\n"
    return f"Committing {name}{'.' * users}\nSuccess!\n"


def _abort(asked: Asked[World], kind: _Kind) -> str:
    name, change = asked.word(3), asked.world.trust_changes.get(kind.what)
    if change is None:
        return "No ongoing transaction!\n"
    if change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to abort a transaction for '{name}'\n"
    del asked.world.trust_changes[kind.what]
    return f"Transaction aborted for {kind.title} '{name}'!\n"


def _new(asked: Asked[World], kind: _Kind) -> str:
    name = asked.word(3)
    if not name:
        return f"'new ssl {kind.keyword}' expects a filename\n"
    if name in asked.world.authorities.held:
        return f"{kind.title} '{name}' already exists!\n"
    asked.world.authorities.replace(name, TrustFile(kind.what, (), ()))
    return f"New {kind.title} created '{name}'!\n"


def _delete(asked: Asked[World], kind: _Kind) -> str:
    name = asked.word(3)
    if not name:
        return f"'del ssl {kind.keyword}' expects a filename\n"
    if name not in _held(asked.world, kind):
        return f"Can't remove the {kind.title}: {kind.title} '{name}' doesn't exist!\n"
    if any(True for _ in _users(asked.world, name)):
        return f"Can't remove the {kind.title}: {kind.title} '{name}' in use, can't be deleted!\n"
    asked.world.authorities.replace(name, None)
    return f"{kind.title} '{name}' deleted!\n"


def _show(asked: Asked[World], kind: _Kind) -> str:
    world = asked.world
    held, change = _held(world, kind), world.trust_changes.get(kind.what)
    name, _, index = asked.word(3).partition(":") if asked.word(3).rpartition(":")[2].isdigit() else (asked.word(3), "", "")
    if not name:
        begun = f"# transaction\n*{_counted(kind, change.name, change.found)}\n" if change is not None else ""
        return begun + "".join(f"{line}\n" for line in ("# filename", *(_counted(kind, path, held[path]) for path in sorted(held))))
    if name.startswith("*") and change is not None and name[1:] == change.name:
        return _page(kind, name, "Unused", change.found, index)
    if name not in held:
        return f"Can't display the {kind.title} : Not found!\n"
    return _page(kind, name, "Used" if any(True for _ in _users(world, name)) else "Unused", held[name], index)


def _page(kind: _Kind, name: str, status: str, found: TrustFile, index: str) -> str:
    """index: of the one that is shown, from 1; "" for all."""
    chosen = slice(int(index) - 1, int(index)) if index and int(index) else slice(None)
    if kind is _CA:
        return text.authorities_page(name, status, found.certificates[chosen])
    return text.revocations_page(name, status, found.crls[chosen])


def _counted(kind: _Kind, name: str, found: TrustFile) -> str:
    return f"{name} - {len(found.certificates)} {kind.counted}" if kind is _CA else name


def _held(world: World, kind: _Kind) -> dict[str, TrustFile]:
    return {path: found for path, found in world.authorities.held.items() if found.what == kind.what}


def _users(world: World, name: str) -> Iterator[Callable[[], None]]:
    """What is to be called where a file of authorities is used, when it has changed."""
    for tls in world.bind_contexts.values():
        if tls.trusts(name):
            yield tls.retrust
    for backend in world.backends.values():
        for server in backend.servers:
            if server.tls is not None and server.tls.trusts(name):
                yield server.tls.rebuild


def _retrust(world: World, name: str) -> int:
    """How many users there are. Raises ConfigError."""
    users = list(_users(world, name))
    for renew in users:
        renew()
    return len(users)


for _one in _KINDS:
    COMMANDS.answers(f"set ssl {_one.keyword}")(lambda asked, kind=_one: _set(asked, kind))  # type: ignore[misc]
    COMMANDS.answers(f"commit ssl {_one.keyword}")(lambda asked, kind=_one: _commit(asked, kind))  # type: ignore[misc]
    COMMANDS.answers(f"abort ssl {_one.keyword}")(lambda asked, kind=_one: _abort(asked, kind))  # type: ignore[misc]
    COMMANDS.answers(f"new ssl {_one.keyword}")(lambda asked, kind=_one: _new(asked, kind))  # type: ignore[misc]
    COMMANDS.answers(f"del ssl {_one.keyword}")(lambda asked, kind=_one: _delete(asked, kind))  # type: ignore[misc]
    COMMANDS.answers(f"show ssl {_one.keyword}")(lambda asked, kind=_one: _show(asked, kind))  # type: ignore[misc]


@COMMANDS.answers("add ssl ca-file")
def add_authorities(asked: Asked[World]) -> str:
    return _set(asked, _CA, adds=True)
