from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from common.config.certificate_file import Lookup
from common.errors import ConfigError
from tests.worker.authority import Authority
from worker.certificate import certificate_files, install, load_certificate

EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def test_key_and_certificate_may_stand_in_any_order(authority: Authority) -> None:
    one = authority.issue("a.example")
    for number, parts in enumerate([(one.key_pem, one.certificate_pem), (one.certificate_pem, one.key_pem)]):
        loaded = load_certificate(authority.file(f"order-{number}.pem", *parts))
        assert loaded.leaf == one.certificate and loaded.key.private_numbers() == one.key.private_numbers()


@pytest.mark.parametrize("form", ["pkcs8", "traditional", "with parameters", "with text around"])
def test_forms_of_keys(authority: Authority, form: str) -> None:
    one = authority.issue("a.example")
    key = {
        "pkcs8": one.key_pem,
        "traditional": one.traditional_key_pem,
        "with parameters": EC_PARAMETERS + one.traditional_key_pem,
        "with text around": b"Bag Attributes\n    friendlyName: a\nKey Attributes: <No Attributes>\n" + one.key_pem + b"end of file",
    }[form]
    assert load_certificate(authority.file("form.pem", one.certificate_pem, key)).leaf == one.certificate


@pytest.mark.parametrize(("name", "removes_extension"), [("a.crt.key", False), ("a.key", True)])
def test_key_may_lie_beside_the_certificate(authority: Authority, name: str, removes_extension: bool) -> None:
    one = authority.issue("a.example")
    path = authority.file(f"beside-{name}/a.crt", one.certificate_pem)
    authority.file(f"beside-{name}/{name}", one.key_pem)
    with pytest.raises(ConfigError, match="no key in it"):
        load_certificate(path, Lookup(removes_extension=not removes_extension))
    with pytest.raises(ConfigError, match="no key in it"):
        load_certificate(path, Lookup(frozenset({"ocsp"}), removes_extension))
    assert load_certificate(path, Lookup(removes_extension=removes_extension)).key.private_numbers() == one.key.private_numbers()


def test_chain_is_what_follows_the_certificate(authority: Authority) -> None:
    middle = Authority(authority.folder, parent=authority)
    one = middle.issue("a.example")
    path = authority.file("chain.pem", one.key_pem, one.certificate_pem, middle.root.certificate_pem, authority.root.certificate_pem)
    assert load_certificate(path).chain == (middle.root.certificate, authority.root.certificate)


def test_names_are_those_of_the_subject_and_the_alternatives_in_small_letters(authority: Authority) -> None:
    one = authority.issue("B.Example", "*.Wild.example", common_name="A.example")
    assert load_certificate(authority.file("names.pem", one.key_pem, one.certificate_pem)).names == (
        "a.example",
        "b.example",
        "*.wild.example",
    )


def test_certificate_without_any_name_is_good_for_a_default(authority: Authority) -> None:
    one = authority.issue()
    assert load_certificate(authority.file("nameless.pem", one.key_pem, one.certificate_pem)).names == ()


FAULTS = {
    "missing": (lambda one, other: None, "unable to open .*No such file"),
    "empty": (lambda one, other: b"", "unable to load certificate from file"),
    "text": (lambda one, other: b"hello\n", "unable to load certificate from file"),
    "key only": (lambda one, other: one.key_pem, "unable to load certificate from file"),
    "certificate damaged": (lambda one, other: one.certificate_pem.replace(b"M", b"!", 3) + one.key_pem, "unable to load certificate"),
    "no key": (lambda one, other: one.certificate_pem, "unable to load private key .*no key in it"),
    "key damaged": (lambda one, other: one.certificate_pem + one.key_pem[:60] + b"!!!!\n" + one.key_pem[64:], "unable to load "),
    "key cut": (lambda one, other: one.certificate_pem + one.key_pem[:80], "unable to load private key"),
    "another one's key": (lambda one, other: one.certificate_pem + other.key_pem, "inconsistencies between private key and certificate"),
    "encrypted": (lambda one, other: one.certificate_pem + one.encrypted_key_pem(), "is encrypted: remove its passphrase"),
    "encrypted of old": (
        lambda one, other: one.certificate_pem + one.encrypted_key_pem(PrivateFormat.TraditionalOpenSSL),
        "is encrypted: remove its passphrase",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_with_its_file(authority: Authority, fault: str) -> None:
    make, message = FAULTS[fault]
    content = make(authority.issue("a.example"), authority.issue("a.example"))
    path = authority.file(f"fault-{fault}.pem", content) if content is not None else "/nonexistent/fault.pem"
    with pytest.raises(ConfigError, match=message) as raised:
        load_certificate(path)
    assert path in str(raised.value) and "\n" not in str(raised.value)


def test_file_that_may_not_be_read_is_a_fault(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = authority.folder / "folder.pem"
    folder.mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match=r"unable to open .*Is a directory"):
        load_certificate(str(folder))


def test_directory_gives_its_certificates_in_order_without_what_belongs_to_them(authority: Authority) -> None:
    for name in ("b.pem", "a.pem", "a.pem.key", "a.pem.ocsp", "a.pem.issuer", "a.pem.sctl", ".hidden.pem"):
        authority.file(f"directory/{name}", b"")
    (authority.folder / "directory" / "c.pem").mkdir(exist_ok=True)
    folder = str(authority.folder / "directory")
    assert list(certificate_files(folder)) == [os.path.join(folder, "a.pem"), os.path.join(folder, "b.pem")]
    assert list(certificate_files(folder + "/a.pem")) == [folder + "/a.pem"]


@pytest.mark.parametrize("kind", ["rsa", "p384", "ed25519"])
def test_usual_kinds_of_keys_serve(authority: Authority, kind: str) -> None:
    key = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    one = authority.issue("a.example", key=key)  # type: ignore[arg-type]
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    install(SSL.Context(SSL.TLS_SERVER_METHOD), [load_certificate(authority.file(f"{kind}.pem", pem, one.certificate_pem))])


@pytest.mark.parametrize("kind", ["rsa of 1024 bits", "dsa"])
def test_key_that_openssl_refuses_is_a_fault_at_the_start(authority: Authority, kind: str) -> None:
    key = rsa.generate_private_key(65537, 1024) if kind != "dsa" else dsa.generate_private_key(1024)
    one = authority.issue("a.example", key=key)  # type: ignore[arg-type]
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = authority.file(f"weak-{kind}.pem", pem, one.certificate_pem)
    with pytest.raises(ConfigError, match="weak") as raised:
        install(SSL.Context(SSL.TLS_SERVER_METHOD), [load_certificate(path)])
    assert "\n" not in str(raised.value)
