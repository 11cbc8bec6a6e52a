from __future__ import annotations

from typing import Any

import pytest

from common import model
from common.acl.acl_keywords import ACL_KEYWORDS, PREDEFINED
from common.acl.conditions import acls_by_name, compile_condition, compile_criterion, compile_model_condition
from common.acl.environment import CompileEnvironment, Where
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import PLACE, FakeExchange, environment, facts, reader, request, response, set_variables


def acls(**lines: str) -> dict[str, list[model.Acl]]:
    """name="criterion words", several lines of one name separated by " ; "."""
    return acls_by_name(model.Acl(PLACE, name, tuple(words.split())) for name, text in lines.items() for words in text.split(" ; "))


def holds(condition: str, exchange: FakeExchange | None = None, known: Any = None, surroundings: CompileEnvironment | None = None) -> bool:
    return compile_condition(condition.split(), known or {}, surroundings or environment()).test(exchange or facts())


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("TRUE", True),
        ("FALSE", False),
        ("!FALSE", True),
        ("! FALSE", True),
        ("!!TRUE", True),
        ("! ! TRUE", True),
        ("TRUE TRUE", True),
        ("TRUE FALSE", False),
        ("TRUE TRUE FALSE", False),
        ("TRUE TRUE TRUE", True),
        ("FALSE or TRUE", True),
        ("FALSE || TRUE", True),
        ("FALSE or FALSE or TRUE", True),
        ("FALSE or FALSE or FALSE", False),
        ("TRUE || FALSE FALSE", True),
        ("FALSE TRUE || FALSE", False),
        ("{ always_true }", True),
        ("!{ always_true }", False),
        ("! { always_true }", False),
        ("{ int(5) 1:10 } !{ int(5) 7 }", True),
    ],
)
def test_words_make_an_or_of_ands(condition: str, expected: bool) -> None:
    assert holds(condition) is expected


@pytest.mark.parametrize(
    "criterion, expected",
    [
        # Verdicts of a running HAProxy.
        ("str(/images/png/) -m dir png/", True),
        ("str() -m dir /", True),
        ("str() -m found", True),
        ("req.hdr(nope) -m found", False),
        ("int(5) lt 5 3 7", True),
        ("int(-5) :0", True),
        ("int(-5) eq -5", True),
        ("str(ABC) -m reg -i ^a.c$", True),
        ("bin(48656c6c6f) -m bin 48656C6c6f", True),
        ("bin(48656c6c6f) -m str Hello", True),
        ("bin(48656c6c6f) -m len 5", True),
        ("str(10.1.2.3) -m ip 10.0.0.0/8", True),
        ("src 127.1", True),
        ("src 127.0.0.0/255.0.0.0", True),
        ("src 127/8", False),
        ("src ::ffff:127.0.0.0/104", True),
        ("bool(1) 0", True),
        ("bool(0) 0", False),
        ("bool(1) -m int 1", True),
        ("bool(1) -m str 1", True),
        ("int(3) -m bool", True),
        ("int(0) -m bool", False),
        ("str(3) -m bool", True),
        ("str(x) -m bool", False),
        ("src -m str 127.0.0.1", True),
        ("src -m len 9", True),
        ("src -m int 2130706433", True),
        ("method GET", True),
        ("method get", False),
        ("method -i get", True),
        ("method -m reg ^G", True),
        ("req.ver 1.1", True),
        ("hdr(host) -i www.example.com:8080", True),
        ("hdr_dom(host) -i example.com", True),
        ("hdr_dom(host) example.com", False),
        ("hdr_beg(host),lower www.", False),
        ("hdr_beg(host),lower www.example.com:8080", True),
        ("hdr_beg(host),lower -m beg www.", True),
        ("hdr_beg(host) -m end :8080", True),
        ("hdr_len(host) gt 5", True),
        ("var(txn.none) -m found", False),
        ("var(txn.set) -m str x", True),
        ("var(txn.set) -m found", True),
        ("path / /x", True),
        ("path_beg /st /p", False),
        ("path_end .gif", False),
        ("src,lower -m beg 127", True),
        ("req.hdr_cnt(host) eq 1", True),
        ("req.hdr(list) b", True),
        ("req.hdr(list) -m found", True),
        ("req.hdr(list,1) b", False),
        ("req.hdr_val(list) 7", True),
        ("ssl_fc 0", False),
    ],
)
def test_criteria(criterion: str, expected: bool) -> None:
    exchange = facts(request=request(b"/", [(b"Host", b"Www.Example.com:8080"), (b"list", b"a, b"), (b"list", b"7")]))
    set_variables(exchange.with_session(src=b"\x7f\0\0\1"), set=b"x")
    assert holds(f"{{ {criterion} }}", exchange) is expected


def test_the_three_spellings_of_the_manual_are_one() -> None:
    exchange = facts(request=request(fields=[(b"host", b"www.a")]))
    for words in ("hdr_beg(host) www.", "hdr_beg(host) -m beg www.", "hdr_dom(host) -m beg www.", "hdr(host) -m beg www."):
        assert holds(f"{{ {words} }}", exchange)


def test_lines_of_one_name_are_or_ed() -> None:
    known = acls(site="path_beg /a ; path_beg /b", never="always_false")
    for path, expected in ((b"/a", True), (b"/b", True), (b"/c", False)):
        assert holds("site !never", facts(request=request(path)), known) is expected


def test_the_manuals_example_of_blocking() -> None:
    known = acls(missing_cl="req.hdr_cnt(Content-length) eq 0")
    conditions = ["HTTP_URL_STAR !METH_OPTIONS || METH_POST missing_cl", "METH_GET HTTP_CONTENT"]
    cases = [
        (request(b"*", method=b"GET"), True),
        (request(b"*", method=b"OPTIONS"), False),
        (request(b"/", method=b"POST"), True),
        (request(b"/", [(b"Content-Length", b"5")], b"POST"), False),
        (request(b"/", [(b"Content-Length", b"5")], b"GET"), True),
        (request(b"/", [(b"Content-Length", b"0")], b"HEAD"), False),
    ]
    for head, blocked in cases:
        assert any(holds(text, facts(request=head), known) for text in conditions) is blocked


def test_the_manuals_example_of_switching() -> None:
    known = acls(
        url_static="path_beg /static /images /img /css ; path_end .gif .png .jpg .css .js",
        host_www="hdr_beg(host) -i www",
        host_static="hdr_beg(host) -i img. video. download. ftp.",
    )
    static = "host_static or host_www url_static"
    for host, path, expected in (
        (b"WWW.a", b"/img/x", True),
        (b"www.a", b"/x.png", True),
        (b"www.a", b"/x", False),
        (b"Img.a", b"/x", True),
        (b"b.a", b"/img", False),
    ):
        assert holds(static, facts(request=request(path, [(b"host", host)])), known) is expected


@pytest.mark.parametrize("name", PREDEFINED)
def test_predefined_acls_compile(name: str) -> None:
    compile_condition([name], {}, environment(Where.REQUEST_CONTENT))


def test_predefined_acls_of_a_plain_request() -> None:
    exchange = facts(request=request(b"/x", version=11)).with_session(src=b"\x7f\0\0\1")
    assert holds("METH_GET HTTP_1.1 LOCALHOST HTTP HTTP_URL_SLASH !HTTP_1.0 !HTTP_URL_ABS !METH_POST !HTTP_CONTENT", exchange)


def test_an_own_acl_goes_before_a_predefined_one() -> None:
    assert holds("FALSE", known=acls(FALSE="always_true"))


@pytest.mark.parametrize("name", ACL_KEYWORDS)
def test_every_acl_keyword_names_a_fetch(name: str) -> None:
    keyword = ACL_KEYWORDS[name]
    where = Where.RESPONSE if keyword.fetch.startswith("res.") else Where.REQUEST_CONTENT
    argument = {"hdr": "(x)", "shdr": "(x)"}.get(name.split("_")[0].removeprefix("req.").removeprefix("res."), "")
    argument = "(0,1)" if "payload" in name and "lv" not in name else "(0,1)" if "payload_lv" in name else argument
    argument = "(users)" if name == "http_auth_group" else argument
    pattern = {"len": "5", "int": "5", "bin": "00"}.get(keyword.method.value, "x")
    surroundings = environment(where, config=model.Config(userlists={"users": []}, groups={"users": ["x"]}))
    compile_criterion([name + argument, pattern], surroundings)
    assert not surroundings.warnings


@pytest.mark.parametrize(
    "condition, at",
    [
        ("UNKNOWN", 0),
        ("TRUE UNKNOWN", 1),
        ("{ always_true", 0),
        ("TRUE { foo }", 2),
        ("{ int(5) 5.0 }", 2),
        ("{ int(5) -m blah 5 }", 3),
        ("{ bin(00) x }", 2),
        ("{ var(txn.a) x }", 2),
        ("{ }", 1),
        ("{ src,foo }", 1),
        ("{ src) }", 1),
        ("{ ! always_true }", 1),
        ("TRUE && TRUE", 1),
        ("TRUE or", 1),
        ("or TRUE", 0),
        ("TRUE or or TRUE", 2),
        ("TRUE !", 1),
        ("", 0),
    ],
)
def test_a_fault_names_its_word(condition: str, at: int) -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_condition(condition.split(), {}, environment())
    assert failure.value.word == at


def test_a_fault_in_a_named_acl_names_its_line() -> None:
    with pytest.raises(ExpressionError, match=r'ACL "bad" \(usher.cfg:1\)') as failure:
        compile_condition(["TRUE", "bad"], acls(bad="src foo"), environment())
    assert failure.value.word == 1


def test_an_unknown_acl_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_condition(["is_statc"], acls(is_static="always_true"), environment())
    assert failure.value.hint == 'did you mean "is_static"?'


def test_a_named_acl_is_compiled_once_per_moment() -> None:
    surroundings = environment()
    known = acls(site="path_beg /a")
    first = compile_condition(["site"], known, surroundings)
    second = compile_condition(["!site"], known, surroundings)
    assert first.alternatives[0][0].criteria[0] is second.alternatives[0][0].criteria[0]
    later = compile_condition(["site"], known, surroundings.at(Where.REQUEST_CONTENT))
    assert later.alternatives[0][0].criteria[0] is not first.alternatives[0][0].criteria[0]


def test_what_can_never_match_is_a_warning() -> None:
    surroundings = environment(Where.RESPONSE)
    assert not holds("{ path / }", facts(request=request(b"/"), response=response()), surroundings=surroundings)
    assert "never matches" in surroundings.warnings[0]


@pytest.mark.parametrize(
    "criterion, warned",
    [("src", True), ("int(3)", True), ("src --", False), ("src -m found", False), ("always_true", False), ("path -f list", False)],
)
def test_a_criterion_without_patterns_is_a_warning(criterion: str, warned: bool) -> None:
    surroundings = environment(read_file=reader(list=""))
    compile_criterion(criterion.split(), surroundings)
    assert bool(surroundings.warnings) is warned


def test_unless_is_the_opposite() -> None:
    condition = compile_condition(["TRUE"], {}, environment(), unless=True)
    assert not condition(facts())
    assert condition.unless
    from_model = compile_model_condition(model.Condition(True, ("FALSE",)), {}, environment())
    assert from_model is not None and from_model.test(facts())
    assert compile_model_condition(None, {}, environment()) is None


def test_explaining_shows_what_was_seen_and_what_matched() -> None:
    exchange = facts(request=request(b"/api/x", [(b"a", b"one, two")])).with_session(src=b"\1\2\3\4")
    cases = {
        "path_beg /static /api": (True, (b"/api/x",), b"/api"),
        "req.hdr(a) two": (True, (b"one", b"two"), b"two"),
        "req.hdr(a) three": (False, (b"one", b"two"), None),
        "src 1.2.3.0/24": (True, (b"1.2.3.4",), b"1.2.3.0/24"),
        "req.hdr(b) -m found": (False, (), None),
        "always_true": (True, (b"1",), b"true"),
        "req.hdr(a) -m int 5": (False, (b"one", b"two"), None),
    }
    for words, (matched, samples, pattern) in cases.items():
        match = compile_criterion(words.split(), environment()).explain(exchange)
        assert (match.matched, match.samples, match.pattern) == (matched, samples, pattern), words


def test_a_variable_is_explained_by_its_text() -> None:
    exchange = set_variables(facts(), a=Typed(SampleType.IPV4, b"\1\2\3\4"))
    assert compile_criterion(["var(txn.a)", "-m", "ip", "1.0.0.0/8"], environment()).explain(exchange).samples == (b"1.2.3.4",)


# --- deciding while bytes may still come ------------------------------------------------------------------------------


def decide(condition: str, exchange: FakeExchange, unless: bool = False) -> bool | None:
    return compile_condition(condition.split(), {}, environment(Where.REQUEST_CONTENT), unless).decide(exchange)


@pytest.mark.parametrize(
    "condition, verdict",
    [
        ("{ req.len gt 100 }", None),
        ("{ req.len lt 100 }", True),
        ("!{ req.len gt 100 }", None),
        ("{ req.len gt 100 } TRUE", None),
        ("{ req.len gt 100 } FALSE", False),
        ("FALSE { req.len gt 100 }", False),
        ("{ req.len gt 100 } or TRUE", True),
        ("{ req.len gt 100 } or FALSE", None),
        ("{ req.payload(0,4) -m bin 00 }", None),
        ("WAIT_END", None),
        ("TRUE WAIT_END", None),
        ("HTTP", None),
        ("!HTTP", None),
        ("{ req.ssl_hello_type 1 }", None),
        ("TRUE", True),
    ],
)
def test_not_yet_is_neither_yes_nor_no(condition: str, verdict: bool | None) -> None:
    assert decide(condition, facts(inspection_final=False, request_buffer=b"\x16")) is verdict


def test_unless_turns_yes_and_no_but_not_not_yet() -> None:
    exchange = facts(inspection_final=False)
    assert decide("TRUE", exchange, unless=True) is False
    assert decide("FALSE", exchange, unless=True) is True
    assert decide("WAIT_END", exchange, unless=True) is None


def test_when_the_wait_is_over_everything_is_decided() -> None:
    exchange = facts(inspection_final=True)
    assert decide("WAIT_END", exchange) is True
    assert decide("{ req.len gt 100 }", exchange) is False
    assert compile_condition(["!HTTP"], {}, environment(Where.REQUEST_CONTENT)).test(exchange) is True
