"""Verdicts in the first table are those of a running HAProxy 2.6, where it has the converter."""

from __future__ import annotations

import pytest

from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, set_variables, text_of_expression


@pytest.mark.parametrize(
    "expression, result",
    [
        ("str(a\\nb),hex", b"610A62"),
        ('str("a\\tb"),hex', b"610962"),
        ("str(a),crc32", b"3904355907"),
        ("str(a),crc32(1)", b"1288200982"),
        ("str(hello),crc32c", b"2591144780"),
        ("str(hello),crc32c(1)", b"2290590055"),
        ("str(hello),djb2", b"261238937"),
        ("str(hello),djb2(1)", b"1119739105"),
        ("str(hello),sdbm", b"684824882"),
        ("str(hello),sdbm(1)", b"2061535398"),
        ("str(hello),wt6", b"3538347703"),
        ("str(hello),wt6(1)", b"140457739"),
        ("str(hello\\ world\\ foo),wt6", b"635854141"),
        ("bin(00ff80),wt6", b"2467266719"),
        ("bin(00ff80),djb2", b"193385540"),
        ("bin(00ff80),sdbm", b"16727873"),
        ("str(hello),xxh32", b"4211111929"),
        ("str(hello),xxh32(5)", b"3191799670"),
        ("str(hello),xxh64", b"2794345569481354659"),
        ("str(hello),xxh64(5)", b"5588056476589539108"),
        ("str(hello),xxh3", b"-7685981735718036227"),
        ("str(hello),xxh3(5)", b"-5040988036188159185"),
        ("str(),xxh3", b"3244421341483603138"),
        ("str(a),xxh3", b"-1817709641818812897"),
        ("str(abcdefgh),xxh3", b"8017998777839871107"),
        ("str(abcdefghijklmnop),xxh3", b"4412624702490859688"),
        ("str(abcdefghijklmnopq),xxh3", b"-3855303992812254513"),
        ("str(abc),base64", b"YWJj"),
        ("str(YWJj),b64dec", b"abc"),
        ("str(YWJ),b64dec", None),
        ("str(YW==),b64dec", b"a"),
        ("str(!!!!),b64dec", None),
        ("str(a?>~),ub64enc", b"YT8-fg"),
        ("str(YT8-fg),ub64dec", b"a?>~"),
        ("str(41424),hex2i", b"267300"),
        ("str(ff),hex2i", b"255"),
        ("str(zz),hex2i", None),
        ("str(0xff),hex2i", None),
        ("str(abc),sha1,hex", b"A9993E364706816ABA3E25717850C26C9CD0D89D"),
        ("str(abc),sha2,hex", b"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
        (
            "str(abc),sha2(512),hex",
            b"DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F",
        ),
        ("str(abc),digest(md5),hex", b"900150983CD24FB0D6963F7D28E17F72"),
        ("str(abc),hmac(sha256,a2V5),hex", b"9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
        ("bin(01020304050607),be2dec(:,2)", b"258:772:1286:7"),
        ("bin(01020304050607),be2dec(-,2,1)", b"258-772-1286"),
        ("bin(01020304050607),be2dec(,2,1)", b"2587721286"),
        ("bin(7f000001),be2dec(.,1)", b"127.0.0.1"),
        ("bin(01020304050607),be2hex", b"01020304050607"),
        ("bin(01020304050607),be2hex(:,2)", b"0102:0304:0506:07"),
        ("bin(01020304050607),be2hex(--,2,1)", b"0102--0304--0506"),
        ("bin(0102030405060708),be2hex(,3,1)", b"010203040506"),
        ("str(abc),sha2,base64", b"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ("var(txn.bin),hex", b"0AFF"),
        ("str(YT8-fg==),ub64dec", b"a?>~"),
        ("str(a+b),ub64dec", None),
        ("str(a),ub64dec", None),
        ("bin(05),base2", b"00000101"),
        ("bin(01020304),le2dec(.,2)", b"513.1027"),
        ("str(a),digest(SHA256),hex", b"CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB"),
        ("str(a),digest(sha-1),hex", b"86F7E437FAA5A7FCE15D1DDCB9EAEAEA377667B8"),
        ("str(abc),hmac(sha256,txn.none),hex", None),
        ("str(abc),hmac(sha256,txn.key),hex", b"9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
    ],
)
def test_converters(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "str(a),sha2(100)",
        "str(a),digest(foo)",
        "str(a),digest(shake_128)",
        "str(abc),hmac(sha256,!!)",
        "str(a),be2dec(:,9)",
        "str(a),be2dec(:,0)",
        "str(a),be2hex(:)",
        "str(a),be2hex(:,0)",
        "str(a),aes_gcm_dec(64,txn.n,txn.k,txn.t)",
        "str(a),aes_cbc_enc(1,txn.n,txn.k)",
    ],
)
def test_wrong_arguments_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, environment())


KEY, NONCE = "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAA"


def test_aes_gcm_there_and_back() -> None:
    exchange = facts()
    surroundings = environment()
    secret = compile_expression(f"str(attack at dawn),aes_gcm_enc(128,{NONCE},{KEY},txn.tag)", surroundings).get(exchange)
    assert surroundings.variables_set == {"txn.tag"}
    exchange.txn_variables["secret"] = Typed(SampleType.BIN, secret)
    back = compile_expression(f"var(txn.secret),aes_gcm_dec(128,{NONCE},{KEY},txn.tag)", surroundings)
    assert back.get(exchange) == b"attack at dawn"
    exchange.txn_variables["tag"] = Typed(SampleType.STR, b"AAAAAAAAAAAAAAAAAAAAAA==")
    assert back.get(exchange) is None
    del exchange.txn_variables["tag"]
    assert back.get(exchange) is None


def test_aes_gcm_binds_additional_data() -> None:
    exchange = set_variables(facts(), aad=b"aGVhZGVy")
    secret = compile_expression(f"str(x),aes_gcm_enc(128,{NONCE},{KEY},txn.tag,txn.aad)", environment()).get(exchange)
    exchange.txn_variables["secret"] = Typed(SampleType.BIN, secret)
    assert compile_expression(f"var(txn.secret),aes_gcm_dec(128,{NONCE},{KEY},txn.tag,txn.aad)", environment()).get(exchange) == b"x"
    assert compile_expression(f"var(txn.secret),aes_gcm_dec(128,{NONCE},{KEY},txn.tag)", environment()).get(exchange) is None


@pytest.mark.parametrize("nonce, key", [("AAAA", KEY), (NONCE, "AAAA"), ("txn.none", KEY)])
def test_aes_gcm_with_parameters_of_the_wrong_size_fails(nonce: str, key: str) -> None:
    assert compile_expression(f"str(x),aes_gcm_enc(128,{nonce},{key},txn.tag)", environment()).get(facts()) is None


def test_aes_cbc_there_and_back() -> None:
    chain = f"str(attack),aes_cbc_enc(128,{KEY},{KEY}),aes_cbc_dec(128,{KEY},{KEY})"
    assert compile_expression(chain, environment()).get(facts()) == b"attack"
    assert compile_expression(f"str(not a block),aes_cbc_dec(128,{KEY},{KEY})", environment()).get(facts()) is None
    assert compile_expression("str(x),aes_cbc_enc(128,AAAA,AAAA)", environment()).get(facts()) is None
