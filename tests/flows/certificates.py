"""Certificates for the flows: one CA, and a file of key and chain for each set of names. Made once per test run.

The files are as HAProxy wants them: key, certificate and chain in one. They lie in one folder for the whole run and are
linked into each flow's folder, where `<file:a.pem>` and `<file:ca.pem>` find them.
"""

from __future__ import annotations

import atexit
import shutil
import ssl
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import trustme

# file -> names in the certificate
FILES = {
    "localhost.pem": ("localhost", "127.0.0.1"),
    "a.pem": ("a.example", "www.a.example"),
    "b.pem": ("b.example",),
    "wild.pem": ("*.wild.example",),
    "rsa.pem": ("rsa.example",),
}


@cache
def made() -> Path:
    """The folder with the files of FILES and ca.pem; `names/` holds a.pem, b.pem and wild.pem for directory tests."""
    folder = Path(mkdtemp(prefix="usher-certificates-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "names").mkdir()
    for file, names in FILES.items():
        key_type = trustme.KeyType.RSA if file == "rsa.pem" else trustme.KeyType.ECDSA
        leaf = authority.issue_cert(*names, key_type=key_type)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / file))
        if file in ("a.pem", "b.pem", "wild.pem"):
            (folder / "names" / file).symlink_to(folder / file)
    return folder


def put_into(folder: Path) -> None:
    """Links all of them into a flow's folder."""
    for entry in made().iterdir():
        (folder / entry.name).symlink_to(entry)


def client_context(folder: Path) -> ssl.SSLContext:
    """A client that trusts our CA and nobody else."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.check_hostname = False
    return context


def server_context(folder: Path, file: str = "localhost.pem") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(folder / file))
    return context


@cache
def other_authority() -> bytes:
    """The certificate of a CA that has signed nothing here."""
    return trustme.CA().cert_pem.bytes()
