"""Which certificates a server name gets: an index of names and filters. Pure.

Exact names come first, then wildcards (one label), then the default. Of several certificates for a name the first of each kind of key
counts (one with ECDSA, one with RSA), and the client's abilities choose between them; all have the settings of the first.
A filter with "!" takes names away from its line.

Source: HAProxy manual 5.1 "crt-list", "default-crt"; RFC 6125 section 6.4.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.config.certificate_file import BUNDLE, CertificateFile
from common.model import CertificateLine, Tls


class Entry:
    """One certificate of a bind, and whom it is for. word: as the configuration names it. certificate changes when it is renewed."""

    __slots__ = ("certificate", "excluded", "is_default", "line", "names", "settings", "word")

    def __init__(
        self,
        certificate: CertificateFile,
        settings: Tls,
        word: str,
        *,
        filters: tuple[str, ...] = (),
        line: CertificateLine | None = None,
        is_default: bool = False,
    ) -> None:
        self.certificate = certificate
        self.settings = settings
        self.word = word
        self.line = line
        self.is_default = is_default or "*" in filters
        self.excluded = frozenset(name[1:].encode() for name in filters if name.startswith("!"))
        self.names = tuple(name for name in filters if not name.startswith("!") and name != "*")
        if not filters or (self.excluded and not self.names and not self.is_default):
            self.names = ()  # those of the certificate, whichever it is

    def served(self) -> Iterable[str]:
        """The names that it is found by."""
        if self.names:
            return self.names
        return () if self.line is not None and "*" in self.line.filters else self.certificate.names


Choice = tuple[Entry, ...]


class Names:
    """See the module."""

    __slots__ = ("_exact", "_wildcard", "default")

    def __init__(self, entries: Iterable[Entry]) -> None:
        """There is at least one entry."""
        entries = list(entries)
        self._exact: dict[bytes, list[Entry]] = {}
        self._wildcard: dict[bytes, list[Entry]] = {}
        for entry in entries:
            for name in entry.served():
                if name.startswith("*."):
                    self._wildcard.setdefault(name[2:].encode(), []).append(entry)
                else:
                    self._exact.setdefault(name.encode(), []).append(entry)
        said = [entry for entry in entries if entry.is_default]
        first = _stem(entries[0].certificate.path)
        self.default = _of_each_kind(said or [entry for entry in entries[: len(BUNDLE)] if _stem(entry.certificate.path) == first])

    def find(self, name: bytes) -> Choice:
        """name: in small letters. () if no certificate has it."""
        parent = name.partition(b".")[2]
        for found in (self._exact.get(name), self._wildcard.get(parent)):
            if found:
                allowed = [entry for entry in found if not entry.excluded or not _is_excluded(entry, name, parent)]
                if allowed:
                    return _of_each_kind(allowed)
        return ()


def _is_excluded(entry: Entry, name: bytes, parent: bytes) -> bool:
    return name in entry.excluded or b"*." + parent in entry.excluded


def _of_each_kind(entries: list[Entry]) -> Choice:
    if len(entries) == 1:
        return (entries[0],)
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(entry.certificate.kind, entry)
    return tuple(found.values())


def _stem(path: str) -> str:
    """Of a bundle: the name that its files share."""
    return next((path.removesuffix(ending) for ending in BUNDLE if path.endswith(ending)), path)
