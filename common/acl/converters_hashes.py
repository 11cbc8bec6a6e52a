"""Converters that hash and sign, and those that encode bytes. Sans-io. Source: HAProxy configuration manual 7.3.1."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.acl.casts import text_of
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.table import ConverterTable, FactsStep, Step
from common.acl.types import SampleType, Typed, wrap
from common.acl.variables import reader, writer
from common.acl.xxhash import xxh3, xxh32, xxh64
from common.errors import ExpressionError
from common.hashes import avalanche, crc32, djb2, sdbm, wt6
from common.wire.crc32c import crc32c

TABLE = ConverterTable()

_S, _N, _I = SampleType.STR, SampleType.BIN, SampleType.INT


def _weak(name: str, doc: str, function: Callable[[bytes], int]) -> None:
    @TABLE.row(name, _N, _I, doc + " With 1, mixed further (full avalanche).", arguments="avalanche:integer", required=0)
    def make(environment: CompileEnvironment, mixes: int | None) -> Step:
        return (lambda value: avalanche(function(value))) if mixes else function


_weak("crc32", "CRC32, as Ethernet and gzip have it.", crc32)
_weak("crc32c", "CRC32C, as iSCSI and SCTP have it.", crc32c)
_weak("djb2", "The DJB2 hash.", djb2)
_weak("sdbm", "The SDBM hash.", sdbm)
_weak("wt6", "The WT6 hash.", wt6)


def _seeded(name: str, doc: str, function: Callable[[bytes, int], int]) -> None:
    @TABLE.row(name, _N, _I, doc, arguments="seed:integer", required=0)
    def make(environment: CompileEnvironment, seed: int | None) -> Step:
        start = seed or 0
        return lambda value: wrap(function(value, start))


_seeded("xxh32", "The xxHash of 32 bits.", xxh32)
_seeded("xxh64", "The xxHash of 64 bits, as a signed integer.", xxh64)
_seeded("xxh3", "The XXH3 hash of 64 bits, as a signed integer.", xxh3)


@TABLE.plain("sha1", _N, _N, "The SHA-1 digest.")
def sha1(value: bytes) -> bytes:
    return hashlib.sha1(value).digest()


@TABLE.row("sha2", _N, _N, "A SHA-2 digest of 224, 256 (the default), 384 or 512 <bits>.", arguments="bits:integer", required=0)
def make_sha2(environment: CompileEnvironment, bits: int | None) -> Step:
    if bits not in (None, 224, 256, 384, 512):
        raise ExpressionError(f"sha2 has 224, 256, 384 or 512 bits, not {bits}")
    return _digester(f"sha{bits or 256}")


def _digest_name(text: bytes) -> str:
    """hashlib's name of a digest that OpenSSL names."""
    name = text.decode("utf-8", "replace").lower().replace("-", "_")
    name = re.sub(r"^sha_?(1|224|256|384|512)$", r"sha\1", name)
    known = {algorithm.replace("-", "_"): algorithm for algorithm in hashlib.algorithms_available if not algorithm.startswith("shake")}
    if name not in known:
        raise ExpressionError(f'"{text.decode("utf-8", "replace")}" is not a message digest that OpenSSL has here')
    return known[name]


def _digester(name: str) -> Step:
    new = hashlib.new
    return lambda value: new(name, value).digest()


@TABLE.row("digest", _N, _N, "The digest by an algorithm that OpenSSL names (sha256, md5 …).", arguments="algorithm:string")
def make_digest(environment: CompileEnvironment, algorithm: bytes) -> Step:
    return _digester(_digest_name(algorithm))


Secret = Callable[[Facts], bytes | None]


def _secret(value: bytes | str, what: str) -> Secret:
    """Base64 in the configuration, or in a variable."""
    if isinstance(value, str):
        read = reader(value)

        def get(facts: Facts) -> bytes | None:
            typed = read(facts)
            return None if typed is None else decode_base64(text_of(typed))

        return get
    decoded = decode_base64(value)
    if decoded is None:
        raise ExpressionError(f"{what} is not base64")
    return lambda facts: decoded


@TABLE.row(
    "hmac", _N, _N, "The message authentication code with <key> (base64, or a variable).",
    arguments="algorithm:string key:string_or_variable", facts=True,
)  # fmt: skip
def make_hmac(environment: CompileEnvironment, algorithm: bytes, key: bytes | str) -> FactsStep:
    name, secret = _digest_name(algorithm), _secret(key, "the key of hmac")

    def step(value: bytes, facts: Facts) -> bytes | None:
        found = secret(facts)
        return None if found is None else hmac.digest(found, value, name)

    return step


def _check_bits(bits: int) -> None:
    if bits not in (128, 192, 256):
        raise ExpressionError(f"AES keys have 128, 192 or 256 bits, not {bits}")


_AES = "bits:integer nonce:string_or_variable key:string_or_variable aead_tag:string_or_variable aad:string_or_variable"


def _aes_gcm(
    bits: int, nonce: bytes | str, key: bytes | str, aad: bytes | str | None
) -> Callable[[Facts], tuple[bytes, bytes, bytes] | None]:
    """(nonce, key, additional data) at run time; None where one is missing or has the wrong size."""
    _check_bits(bits)
    nonces, keys = _secret(nonce, "the nonce"), _secret(key, "the key")
    added: Secret = (lambda facts: b"") if aad is None else _secret(aad, "the additional data")

    def get(facts: Facts) -> tuple[bytes, bytes, bytes] | None:
        found = nonces(facts), keys(facts), added(facts)
        if found[0] is None or found[1] is None or found[2] is None:
            return None
        return (found[0], found[1], found[2]) if len(found[1]) * 8 == bits and 8 <= len(found[0]) <= 128 else None

    return get


@TABLE.row(
    "aes_gcm_dec",
    _N,
    _N,
    "Decrypted by AES-GCM; all but <bits> in base64 or a variable. A wrong tag fails.",
    arguments=_AES,
    required=4,
    facts=True,
)
def make_aes_gcm_decrypt(
    environment: CompileEnvironment, bits: int, nonce: bytes | str, key: bytes | str, tag: bytes | str, aad: bytes | str | None
) -> FactsStep:
    parameters, tags = _aes_gcm(bits, nonce, key, aad), _secret(tag, "the tag")

    def step(value: bytes, facts: Facts) -> bytes | None:
        found, seal = parameters(facts), tags(facts)
        if found is None or seal is None or len(seal) != 16:
            return None
        try:
            return AESGCM(found[1]).decrypt(found[0], value + seal, found[2])
        except InvalidTag:
            return None

    return step


@TABLE.row(
    "aes_gcm_enc", _N, _N, "Encrypted by AES-GCM; the tag goes, in base64, into the variable <aead_tag>.",
    arguments=_AES.replace("aead_tag:string_or_variable", "aead_tag:variable"), required=4, facts=True,
)  # fmt: skip
def make_aes_gcm_encrypt(
    environment: CompileEnvironment, bits: int, nonce: bytes | str, key: bytes | str, tag: str, aad: bytes | str | None
) -> FactsStep:
    parameters, write = _aes_gcm(bits, nonce, key, aad), writer(tag)
    environment.variables_set.add(tag)

    def step(value: bytes, facts: Facts) -> bytes | None:
        found = parameters(facts)
        if found is None:
            return None
        sealed = AESGCM(found[1]).encrypt(found[0], value, found[2])
        write(facts, Typed(_S, base64.b64encode(sealed[-16:])))
        return sealed[:-16]

    return step


def _aes_cbc(name: str, doc: str, transform: Callable[[bytes, bytes, bytes], bytes | None]) -> None:
    @TABLE.row(name, _N, _N, doc, arguments="bits:integer nonce:string_or_variable key:string_or_variable", facts=True)
    def make(environment: CompileEnvironment, bits: int, nonce: bytes | str, key: bytes | str) -> FactsStep:
        _check_bits(bits)
        nonces, keys = _secret(nonce, "the nonce"), _secret(key, "the key")

        def step(value: bytes, facts: Facts) -> bytes | None:
            start, secret = nonces(facts), keys(facts)
            if start is None or secret is None or len(secret) * 8 != bits or len(start) != 16:
                return None
            return transform(value, start, secret)

        return step


def _cbc_encrypt(value: bytes, start: bytes, secret: bytes) -> bytes:
    padder, encryptor = padding.PKCS7(128).padder(), Cipher(algorithms.AES(secret), modes.CBC(start)).encryptor()
    padded = padder.update(value) + padder.finalize()
    return encryptor.update(padded) + encryptor.finalize()


def _cbc_decrypt(value: bytes, start: bytes, secret: bytes) -> bytes | None:
    decryptor, unpadder = Cipher(algorithms.AES(secret), modes.CBC(start)).decryptor(), padding.PKCS7(128).unpadder()
    try:
        plain = decryptor.update(value) + decryptor.finalize()
        return unpadder.update(plain) + unpadder.finalize()
    except ValueError:
        return None


_aes_cbc("aes_cbc_enc", "Encrypted by AES-CBC with PKCS#7 padding; <nonce> and <key> in base64 or a variable.", _cbc_encrypt)
_aes_cbc("aes_cbc_dec", "Decrypted by AES-CBC with PKCS#7 padding; <nonce> and <key> in base64 or a variable.", _cbc_decrypt)


@TABLE.plain("hex", _N, _S, "In upper-case hexadecimal.")
def to_hexadecimal(value: bytes) -> bytes:
    return binascii.hexlify(value).upper()


@TABLE.plain("hex2i", _S, _I, "Hexadecimal digits as an integer.")
def from_hexadecimal(value: bytes) -> int | None:
    """Of more than 16 digits the last ones count."""
    return wrap(int(value[-16:] or b"0", 16)) if re.fullmatch(rb"[0-9A-Fa-f]*", value) else None


@TABLE.plain("base64", _N, _S, "In base64.")
def to_base64(value: bytes) -> bytes:
    return base64.b64encode(value)


@TABLE.plain("base2", _N, _S, "In binary digits, eight per byte.")
def to_base2(value: bytes) -> bytes:
    return "".join(f"{byte:08b}" for byte in value).encode()


def decode_base64(value: bytes) -> bytes | None:
    """None for what is not base64."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


@TABLE.plain("b64dec", _S, _N, "Decoded from base64.")
def from_base64(value: bytes) -> bytes | None:
    return decode_base64(value)


@TABLE.plain("ub64enc", _N, _S, "In base64url, without padding.")
def to_base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*={0,2}")


def decode_base64url(value: bytes) -> bytes | None:
    """None for what is not base64url; padding may be there or not."""
    if not _BASE64URL.fullmatch(value):
        return None
    bare = value.rstrip(b"=")
    try:
        return base64.urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return None


@TABLE.plain("ub64dec", _S, _N, "Decoded from base64url.")
def from_base64url(value: bytes) -> bytes | None:
    return decode_base64url(value)


def _chunks(value: bytes, size: int, truncate: bool) -> list[bytes]:
    end = len(value) - len(value) % size if truncate else len(value)
    return [value[start : start + size] for start in range(0, end, size)]


def _decimal(name: str, order: str, doc: str) -> None:
    @TABLE.row(name, _N, _S, doc, arguments="separator:string chunk_size:integer truncate:integer", required=2)
    def make(environment: CompileEnvironment, separator: bytes, size: int, truncate: int | None) -> Step:
        if not 1 <= size <= 8:
            raise ExpressionError(f"{name}: a chunk has 1 to 8 bytes, not {size}")
        cut = bool(truncate)
        big = order == "big"
        return lambda value: separator.join(
            [b"%d" % int.from_bytes(chunk, "big" if big else "little") for chunk in _chunks(value, size, cut)]
        )


_decimal("be2dec", "big", "Each <chunk_size> bytes as a big-endian number, joined by <separator>; a short rest too, unless cut.")
_decimal("le2dec", "little", "Each <chunk_size> bytes as a little-endian number, joined by <separator>; a short rest too, unless cut.")


@TABLE.row(
    "be2hex", _N, _S, "In hexadecimal, with <separator> after each <chunk_size> bytes; a short rest too, unless truncated.",
    arguments="separator:string chunk_size:integer truncate:integer", required=0,
)  # fmt: skip
def make_grouped_hexadecimal(environment: CompileEnvironment, separator: bytes | None, size: int | None, truncate: int | None) -> Step:
    if separator is not None and size is None:
        raise ExpressionError("be2hex: a separator needs a chunk size")
    if size is not None and size < 1:
        raise ExpressionError(f"be2hex: a chunk has at least 1 byte, not {size}")
    if size is None:
        return to_hexadecimal
    joint, cut = separator or b"", bool(truncate)
    return lambda value: joint.join([binascii.hexlify(chunk).upper() for chunk in _chunks(value, size, cut)])
