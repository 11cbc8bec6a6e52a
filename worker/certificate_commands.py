"""Certificates changed while the service runs: `… ssl cert`, `… ssl crt-list`, `… ssl ocsp-response`, `show ssl sni`.

A change is prepared in a transaction, one at a time, and tried on OpenSSL as a whole before it goes live: a half or a mismatched pair never
does. Connections that have begun keep what they have; sessions stay resumable, for the ticket keys are elsewhere.

Every worker is told the same, so they answer the same; a worker that starts later is told again what was changed before.
Source: HAProxy management guide 9.3, whose answers tools look for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

from common.config.certificate_file import CertificateError, CertificateFile, revised, staple_for
from common.config.crt_list import read_line
from common.config.diagnostics import Report
from common.config.draft import State
from common.config.environment import Environment
from common.config.options import LoadOptions
from common.config.source import Line
from common.model import Bind, CertificateLine, Config, Place
from common.process.commands import Asked
from worker import certificate_text as text
from worker.certs import BindTls
from worker.commands import COMMANDS
from worker.names import Entry
from worker.world import World

_PARTS = (".key", ".ocsp")  # `set ssl cert FILE.key` changes the key of FILE
_IGNORED_PARTS = (".issuer", ".sctl")


@dataclass(slots=True)
class Change:
    """The transaction. certificate: what would go live; None while the parts do not fit together."""

    name: str
    pem: bytes | None = None
    key: bytes | None = None
    staple: bytes | None = None
    certificate: CertificateFile | None = None


@COMMANDS.answers("set ssl cert")
def set_certificate(asked: Asked[World]) -> str:
    store = asked.world.certificates
    file = asked.word(3)
    if not file or not asked.payload:
        return "'set ssl cert' expects a filename and a certificate as a payload\n"
    name, part = file, ""
    if file not in store.held and file not in store.empty:
        for ending in (*_PARTS, *_IGNORED_PARTS):
            if file.endswith(ending):
                name, part = file.removesuffix(ending), ending
    change = asked.world.certificate_change
    if change is not None and change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to set '{name}'\nCan't update {file}!\n"
    if name not in store.held and name not in store.empty:
        return f"Can't replace a certificate which is not referenced by the configuration!\nCan't update {file}!\n"
    if part in _IGNORED_PARTS:
        return f"'{part}' files are not used here: there is nothing to change.\nCan't update {file}!\n"
    wanted = replace(change) if change is not None else Change(name)
    data = asked.payload.encode()
    try:
        if part == ".key":
            wanted.key = data
        elif part == ".ocsp":
            wanted.staple = base64.b64decode("".join(asked.payload.split()), validate=True)
        else:
            wanted.pem, wanted.key = data, None
        wanted.certificate = _joined(asked.world, wanted)
    except (CertificateError, binascii.Error) as error:
        fits_later = isinstance(error, CertificateError) and error.slug in ("key-mismatch", "no-key") and not (
            part == "" and b"PRIVATE KEY-----" in data
        )
        if not fits_later:
            return f"{error}.\nCan't load the payload\nCan't update {file}!\n"
        wanted.certificate = None
    asked.world.certificate_change = wanted
    return f"Transaction {'updated' if change is not None else 'created'} for certificate {name}!\n"


@COMMANDS.answers("commit ssl cert")
def commit_certificate(asked: Asked[World]) -> str:
    world = asked.world
    name, change = asked.word(3), world.certificate_change
    if not name:
        return "'commit ssl cert' expects a filename\n"
    if change is None:
        return f"No ongoing transaction! !\nCan't commit {name}!\n"
    if change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to set '{name}'\nCan't commit {name}!\n"
    try:
        certificate = _joined(world, change)
    except CertificateError as error:
        return f"{error}.\nCan't commit {name}!\n"
    world.certificate_change = None
    world.certificates.held[name] = certificate
    world.certificates.empty.discard(name)
    users = rebuild(world, name)
    return f"Committing {name}{'.' * users}\nSuccess!\n"


@COMMANDS.answers("abort ssl cert")
def abort_certificate(asked: Asked[World]) -> str:
    name, change = asked.word(3), asked.world.certificate_change
    if not name:
        return "'abort ssl cert' expects a filename\n"
    if change is None:
        return "No ongoing transaction!\n"
    if change.name != name:
        return f"The ongoing transaction is about '{change.name}' but you are trying to abort a transaction for '{name}'\n"
    asked.world.certificate_change = None
    return f"Transaction aborted for certificate '{name}'!\n"


@COMMANDS.answers("new ssl cert")
def new_certificate(asked: Asked[World]) -> str:
    store, name = asked.world.certificates, asked.word(3)
    if not name:
        return "'new ssl cert' expects a filename\n"
    if name in store.held or name in store.empty:
        return f"Certificate '{name}' already exists!\n"
    store.empty.add(name)
    return f"New empty certificate store '{name}'!\n"


@COMMANDS.answers("del ssl cert")
def delete_certificate(asked: Asked[World]) -> str:
    store, name = asked.world.certificates, asked.word(3)
    if not name:
        return "'del ssl cert' expects a filename\n"
    if name not in store.held and name not in store.empty:
        return f"Can't remove the certificate: certificate '{name}' doesn't exist!\n"
    if _is_used(asked.world, name):
        return f"Can't remove the certificate: certificate '{name}' in use, can't be deleted!\n"
    store.held.pop(name, None)
    store.empty.discard(name)
    return f"Certificate '{name}' deleted!\n"


@COMMANDS.answers("show ssl cert")
def show_certificates(asked: Asked[World]) -> str:
    world, name = asked.world, asked.word(3)
    store, change = world.certificates, world.certificate_change
    if not name:
        begun = f"# transaction\n*{change.name}\n" if change is not None else ""
        return begun + "".join(f"{line}\n" for line in ("# filename", *sorted({*store.held, *store.empty})))
    if name.startswith("*") and change is not None and name[1:] == change.name:
        return text.certificate_page(name, "Unused" if change.certificate is not None else "Empty", change.certificate)
    if name in store.empty:
        return text.certificate_page(name, "Empty", None)
    if name not in store.held:
        return "Can't display the certificate: Not found or the certificate is a bundle!\n"
    return text.certificate_page(name, "Used" if _is_used(world, name) else "Unused", store.held[name])


# --- lists -----------------------------------------------------------------------------------------------------------


@COMMANDS.answers("show ssl crt-list")
def show_lists(asked: Asked[World]) -> str:
    lists = asked.world.certificates.lists
    numbered = asked.word(3) == "-n"
    name = asked.word(4 if numbered else 3)
    if not name:
        return "".join(f"{path}\n" for path in lists)
    if name not in lists:
        return "didn't find the specified filename\n"
    return "".join(f"{line}\n" for line in (f"# {name}", *(text.list_line(line, numbered) for line in lists[name])))


@COMMANDS.answers("add ssl crt-list")
def add_to_list(asked: Asked[World]) -> str:
    world, name = asked.world, asked.word(3)
    lists = world.certificates.lists
    written = next((line for line in (asked.payload or "").splitlines() if line.strip()), asked.word(4))
    if not name or not written:
        return "'add ssl crt-list' expects a filename and a certificate name\n"
    if name not in lists:
        return f"Can't edit the crt-list: crt-list '{name}' does not exist!\n"
    number = max((line.place.line for line in lists[name]), default=0) + 1
    added: list[tuple[BindTls, list[Entry]]] = []
    shown = None
    try:
        for bind in _binds_with(world, name):
            line = _parsed(name, number, written, bind)
            shown = shown or line
            if line.certificate in world.certificates.empty:
                raise CertificateError(f"certificate '{line.certificate}' is empty!")
            if line.certificate not in world.certificates.held:
                raise CertificateError(f"certificate '{line.certificate}' does not exist!")
            entries = list(bind.of_line(line))
            bind.prove(entries)
            added.append((bind, entries))
    except CertificateError as error:
        return f"Can't edit the crt-list: {error}\n"
    assert shown is not None
    for bind, entries in added:
        bind.entries += entries
        bind.rebuild()
    lists[name].append(shown)
    return f"Inserting certificate '{shown.certificate}' in crt-list '{name}'{'.' * len(added)}\nSuccess!\n"


@COMMANDS.answers("del ssl crt-list")
def delete_from_list(asked: Asked[World]) -> str:
    world, name = asked.world, asked.word(3)
    lists = world.certificates.lists
    certificate, _, number = asked.word(4).partition(":") if asked.word(4).rpartition(":")[2].isdigit() else (asked.word(4), "", "")
    if not name or not certificate:
        return "'del ssl crt-list' expects a filename and a certificate name\n"
    if name not in lists:
        return f"Can't delete the entry: crt-list '{name}' does not exist!\n"
    if certificate not in world.certificates.held:
        return f"Can't delete the entry: certificate '{certificate}' does not exist!\n"
    found = [line for line in lists[name] if line.certificate == certificate and number in ("", str(line.place.line))]
    if not found:
        return f"Can't delete the entry: can't find the certificate '{certificate}' in the crt-list '{name}'!\n"
    if len(found) > 1:
        numbers = ", ".join(str(line.place.line) for line in found)
        several = f"found the certificate '{certificate}' in several entries, please specify a line number preceded by colons ({numbers})!"
        return f"Can't delete the entry: {several}\n"
    at = found[0].place.line
    defaults = [
        bind.place for bind, tls in _listening(world) for entry in tls.names.default if entry.line is not None and _is_line(entry, name, at)
    ]
    if defaults:
        where = "".join(f"\t- {place.file}:{place.line}\n" for place in defaults)
        used = f"certificate '{certificate}' cannot be deleted, it is used as default certificate by the following frontends:"
        return f"Can't delete the entry: {used}\n{where}"
    for bind in _binds_with(world, name):
        bind.entries = [entry for entry in bind.entries if not _is_line(entry, name, at)]
        bind.rebuild()
    lists[name].remove(found[0])
    return f"Entry '{certificate}' deleted in crtlist '{name}'!\n"


@COMMANDS.answers("show ssl sni")
def show_names(asked: Asked[World]) -> str:
    """`show ssl sni [-f FRONTEND]`: every name that clients may ask for."""
    wanted = asked.word(4) if asked.word(3) == "-f" else ""
    if wanted and wanted not in asked.world.frontends:
        return "No such frontend.\n"
    rows = ["# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore"]
    for bind, tls in _listening(asked.world, wanted):
        frontend = next(one.name for one in asked.world.frontends.values() if bind in one.model.binds)
        for entry in tls.entries:
            leaf, file = entry.certificate.leaf, entry.certificate
            excluded = " ".join(sorted(f"!{name.decode()}" for name in entry.excluded)) or "-"
            dates = f"{text.date(leaf.not_valid_after_utc)}\t{text.date(leaf.not_valid_before_utc)}"
            for name in (*entry.served(), *(["*"] if entry in tls.names.default else [])):
                where = f"{frontend}/{bind.place.file}:{bind.place.line}"
                rows.append(f"{where}\t{name}\t{excluded}\t{file.kind.lower()}\t{file.path}\t{dates}")
    return "\n".join(rows) + "\n"


@COMMANDS.answers("show tls-keys")
def show_keys(asked: Asked[World]) -> str:
    """The rings of ticket keys: there are no files, and no key is ever shown. Ids count the binds with TLS, in their order."""
    now, wanted = asked.world.pump.now, asked.word(2)
    rows = ["# id (file)" if wanted in ("", "*") else "# id secret"]
    for number, (bind, tls) in enumerate(_listening(asked.world)):
        if wanted in ("", "*", str(number), f"#{number}"):
            left = "for good" if tls.ring.until == inf else f"for {max(tls.ring.until - now, 0):.0f} s"
            rows.append(f"{number} (in memory: {bind.place.file}:{bind.place.line}, {left}, {len(tls.ring.old)} before it honoured)")
    return "\n".join(rows) + "\n"


# --- staples ---------------------------------------------------------------------------------------------------------


@COMMANDS.answers("set ssl ocsp-response")
def set_staple(asked: Asked[World]) -> str:
    """What a responder says, in base64: it goes to every certificate that it is about."""
    sent = asked.payload or asked.word(3)
    if not sent:
        return "'set ssl ocsp-response' expects response in base64 encoding.\n"
    try:
        data = base64.b64decode("".join(sent.split()), validate=True)
    except binascii.Error:
        return "'set ssl ocsp-response' received invalid base64 encoded response.\n"
    store = asked.world.certificates
    complaint = "OCSP single response: Certificate ID does not match any certificate or issuer."
    users = [name for name, held in store.held.items() if not (why := staple_for(held.leaf, data)) or not (complaint := _complaint(why))]
    if not users:
        return f"{complaint}\n"
    for name in users:
        store.held[name] = replace(store.held[name], staple=data)
        rebuild(asked.world, name)
    return "OCSP Response updated!\n"


@COMMANDS.answers("show ssl ocsp-response")
def show_staples(asked: Asked[World]) -> str:
    held = {name: one for name, one in asked.world.certificates.held.items() if one.staple}
    wanted = asked.word(3)
    if wanted:
        for name, one in held.items():
            if wanted in (name, text.staple_id(one.staple)):
                return text.staple_page(one.staple)
        return "Certificate ID or path does not match any certificate.\n"
    pages = []
    for name, one in held.items():
        pages.append(f"  Certificate ID key : {text.staple_id(one.staple)}\n    Certificate path : {name}\n")
    return ("# Certificate IDs\n" + "".join(pages)) if pages else "\n"


def _complaint(why: str) -> str:
    unread = why.startswith("it cannot be read")
    return "Unable to parse OCSP response." if unread else "OCSP single response: Certificate ID does not match any certificate or issuer."


# --- who uses what ---------------------------------------------------------------------------------------------------


def rebuild(world: World, name: str) -> int:
    """Let every bind and server that uses a certificate take it anew; how many there are."""
    users = 0
    for tls in world.bind_contexts.values():
        if any(entry.certificate.path == name for entry in tls.entries):
            tls.rebuild()
            users += 1
    for backend in world.backends.values():
        for server in backend.servers:
            if server.tls is not None and name in server.tls.certificates:
                server.tls.rebuild()
                users += 1
    return users


def _joined(world: World, change: Change) -> CertificateFile:
    """Raises CertificateError."""
    store = world.certificates
    held = store.held.get(change.name)
    return store.prove(revised(change.name, held, store.lookup, pem=change.pem, key=change.key, staple=change.staple))


def _is_used(world: World, name: str) -> bool:
    if any(entry.certificate.path == name for tls in world.bind_contexts.values() for entry in tls.entries):
        return True
    return any(server.tls is not None and name in server.tls.certificates for one in world.backends.values() for server in one.servers)


def _listening(world: World, frontend: str = "") -> Iterator[tuple[Bind, BindTls]]:
    for name, one in world.frontends.items():
        for bind in one.model.binds:
            if bind.id in world.bind_contexts and frontend in ("", name):
                yield bind, world.bind_contexts[bind.id]


def _binds_with(world: World, name: str) -> list[BindTls]:
    """The binds that use a crt-list or a directory."""
    found = []
    for tls in world.bind_contexts.values():
        settings = tls.settings
        if name in (*settings.certificates, *settings.default_certificates, *(one.path for one in settings.crt_lists)):
            found.append(tls)
    return found


def _is_line(entry: Entry, name: str, number: int) -> bool:
    return entry.line is not None and (entry.line.place.file, entry.line.place.line) == (name, number)


def _parsed(name: str, number: int, written: str, bind: BindTls) -> CertificateLine:
    """A line that an operator wrote, for one bind. Raises CertificateError."""
    state = State(Config(), Report(), Environment({}), LoadOptions())
    found = read_line(state, Line(name, number, written), bind.settings)
    if found is None:
        raise CertificateError("; ".join(one.message for one in state.report.diagnostics))
    return replace(found, place=Place(name, number))
