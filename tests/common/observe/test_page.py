from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe import fields as f
from common.observe import info
from common.observe import states as s
from common.observe.command_line import split_words
from common.observe.commands import find
from common.observe.history import POINTS, History
from common.observe.layout import G_SECRET
from common.observe.page import Page, render
from common.observe.page_assets import CONTENT_SECURITY_POLICY, SCRIPT, STYLE
from common.observe.page_request import (
    ACTIONS,
    OUTCOMES,
    Order,
    PageRequest,
    is_foreign,
    outcome_of,
    parse_order,
    parse_target,
    return_address,
    token_for,
)
from tests.common.observe.test_info import FACTS
from tests.common.observe.test_stats import BE, FE, Farm

VOID = {"meta", "input", "path", "rect"}


class Reader(HTMLParser):
    """Checks that elements nest, and keeps what is of interest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes[name] for kind, attributes in self.elements if kind == tag and name in attributes]


def page(made: Farm, **settings: object) -> Page:
    facts = {item.name: item.value for item in info.items(made.config, made.counters, FACTS, 10.5)}
    return Page("/stats", made.rows(now=10.5), facts, **settings)  # type: ignore[arg-type]


def read(shown: Page) -> Reader:
    reader = Reader()
    reader.feed(b"".join(render(shown)).decode())
    assert reader.open == []
    return reader


def test_every_proxy_and_server_stands_on_the_page() -> None:
    reader = read(page(Farm(), title="node 1", description="the <front>", version="0.1.0"))
    assert reader.attributes("section", "data-name") == ["fe", "fet", "be", "bet", "empty", "li"]
    assert {"node 1", "Usher 0.1.0", "the <front>", "s1", "s4", "Frontend", "Backend", "MAINT", "UP 1/3", "OPEN"} <= set(reader.texts)


@pytest.mark.parametrize(
    ("words", "status", "colour"),
    [
        ({}, "UP 1/3", "warn"),
        ({s.S_CHECK_HEALTH: 4}, "UP", "up"),
        ({s.S_OPERATIONAL: s.OP_STOPPED, s.S_CHECK_HEALTH: 0}, "DOWN", "down"),
        ({s.S_OPERATIONAL: s.OP_STOPPED, s.S_CHECK_HEALTH: 1}, "DOWN 1/2", "warn"),
        ({s.S_OPERATIONAL: s.OP_STOPPING, s.S_CHECK_HEALTH: 4}, "NOLB", "warn"),
        ({s.S_ADMIN: s.FORCED_MAINT}, "MAINT", "maint"),
        ({s.S_ADMIN: s.FORCED_DRAIN, s.S_CHECK_HEALTH: 4}, "DRAIN", "warn"),
        ({s.S_CHECK_STATE: 0}, "no check", "idle"),
    ],
)
def test_a_state_has_its_colour(words: dict[int, int], status: str, colour: str) -> None:
    made = Farm()
    for word, value in words.items():
        made.server_state(0)[word] = value
    row = next(row for row in made.rows() if row.values["svname"] == "s1")
    assert f'<span class="state {colour}">{status}</span>' in b"".join(render(Page("/", [row], {}))).decode()


def test_numbers_are_readable() -> None:
    made = Farm()
    block = made.worker.frontend(FE)
    block[f.STOT], block[f.BIN], block[f.BOUT], block[f.EREQ] = 1234567, 999, 5 * 2**30, 3
    block[f.HRSP_2XX], block[f.HRSP_5XX] = 3, 1
    text = b"".join(render(page(made))).decode()
    for shown in ("1,234,567", ">999<", ">5.0G<", "request <b class=bad>3</b>", 'aria-label="2xx: 3, 5xx: 1"', 'width="75.00"'):
        assert shown in text


def test_the_last_minutes_are_drawn() -> None:
    text = b"".join(render(page(Farm(), lines={("F", FE, 0): [0, 5, 10]}))).decode()
    assert '<path d="M0.0 21.0 L50.0 11.5 L100.0 2.0"/>' in text
    assert "10/s now, 10/s at most" in text
    assert "<path" not in b"".join(render(page(Farm(), lines={("F", FE, 0): [0, 0]}))).decode()


def test_only_an_admin_sees_forms_and_they_carry_the_token() -> None:
    assert read(page(Farm())).attributes("form", "action") == []
    reader = read(page(Farm(), admin=True, token="secret"))
    assert reader.attributes("form", "action") == ["/stats"] * 3
    tokens = [attributes["value"] for tag, attributes in reader.elements if tag == "input" and attributes.get("name") == "token"]
    assert tokens == ["secret"] * 3
    ticks = [attributes["value"] for tag, attributes in reader.elements if attributes.get("type") == "checkbox"]
    assert ticks == ["s1", "s2", "s3", "s4", "t1", "l1"]


@given(st.text(max_size=60))
def test_hostile_names_and_texts_stay_texts(text: str) -> None:
    made = Farm()
    made.config.proxies[BE].name = text
    made.config.proxies[BE].servers[0].name = text
    s.write_text(made.server_state(0), s.LAST_CHECK, text)
    made.server_state(0)[s.S_CHECK_STATUS] = 17
    reader = read(page(made, title=text, description=text, version=text, admin=True, token=text, legends=True))
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "h1", "small", "div", "span", "b", "input", "button", "main"}
    allowed |= {"section", "h2", "table", "thead", "tr", "th", "tbody", "td", "form", "label", "select", "option", "svg", "rect", "script"}
    assert {tag for tag, _attributes in reader.elements} <= allowed
    assert not any(name.startswith("on") for _tag, attributes in reader.elements for name in attributes)


def test_the_page_renews_itself_only_where_asked_for() -> None:
    assert read(page(Farm(), refresh_s=7)).attributes("meta", "content")[1:] == ["7"]
    assert "refresh" not in str(read(page(Farm())).attributes("meta", "http-equiv"))


@pytest.mark.parametrize(("outcome", "shown"), [("DONE", True), ("DENY", True), ("<script>", False), ("", False)])
def test_an_outcome_is_told_if_it_is_one(outcome: str, shown: bool) -> None:
    text = b"".join(render(page(Farm(), outcome=outcome))).decode()
    assert ('role="status"' in text) is shown
    assert "<script>\n(function" in text
    assert text.count("<script") == 1


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() -> None:
    assert CONTENT_SECURITY_POLICY.count("'sha256-") == 2
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    text = b"".join(render(page(Farm(), admin=True))).decode()
    assert f"<style>{STYLE}</style>" in text
    assert f"<script>{SCRIPT}</script>" in text
    assert ' style="' not in text


def test_modules_are_shown_where_they_have_something_to_say() -> None:
    made = Farm()
    made.worker.frontend(FE)[f.SSL_SESS] = 7
    assert "TLS 7<" in b"".join(render(page(made, modules=True))).decode()
    assert "TLS 7<" not in b"".join(render(page(made))).decode()


def test_legends_show_addresses_and_algorithms() -> None:
    text = b"".join(render(page(Farm(), legends=True))).decode()
    assert "<small>127.0.0.1:18911</small>" in text
    assert "<small>leastconn</small>" in text


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/stats", PageRequest()),
        ("/stats;csv", PageRequest("csv")),
        ("/stats;csv;norefresh", PageRequest("csv", refresh=False)),
        ("/stats;up;no-maint", PageRequest(up_only=True, no_maintenance=True)),
        ("/stats;json-schema", PageRequest("json-schema")),
        ("/stats;st=DONE", PageRequest(outcome="DONE")),
        ("/stats?scope=be", PageRequest(scope="be")),
        ("/stats;csv?scope=b%20e", PageRequest("csv", scope="b e")),
        ("/stats;nonsense", PageRequest()),
        ("/statsnothing", PageRequest()),
        ("/stats?scope=be;up", PageRequest(up_only=True, scope="be")),
        ("/stats?x=1&y", PageRequest()),
    ],
)
def test_the_address_says_what_is_wanted(target: str, expected: PageRequest) -> None:
    assert parse_target(target, "/stats") == expected


def test_an_address_with_a_question_mark_has_options_too() -> None:
    assert parse_target(b"/haproxy?stats;csv;norefresh", "/haproxy?stats") == PageRequest("csv", refresh=False)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("/stats", "/stats;st=DONE"),
        ("/stats;up;norefresh;csv", "/stats;st=DONE;up;norefresh"),
        ("/stats;no-maint?scope=b%20e", "/stats;st=DONE;no-maint?scope=b+e"),
        ("/stats;st=NONE?scope=%0d%0aset-cookie:x", "/stats;st=DONE?scope=%0D%0Aset-cookie%3Ax"),
    ],
)
def test_a_form_sends_its_user_back_to_the_same_view(target: str, address: str) -> None:
    assert return_address("/stats", parse_target(target, "/stats"), "DONE") == address


@pytest.mark.parametrize(
    ("origin", "site", "foreign"),
    [
        ("", "", False),
        ("http://here:80", "same-origin", False),
        ("https://HERE:80", "", False),
        ("", "none", False),
        ("http://there", "", True),
        ("null", "", True),
        ("", "cross-site", True),
        ("http://here:80", "same-site", True),
    ],
)
def test_a_form_of_another_site_is_known_by_what_the_browser_says(origin: str, site: str, foreign: bool) -> None:
    assert is_foreign(origin, site, "here:80") is foreign


CONFIG = Farm().config


def form(**fields: object) -> bytes:
    return urlencode({"token": "t", "b": "#4", "action": "maint", "s": "s1"} | fields, doseq=True).encode()


@pytest.mark.parametrize(
    ("body", "order"),
    [
        (form(), Order(("set server be/s1 state maint",))),
        (form(s=["s1", "s2"], action="ready"), Order(("set server be/s1 state ready", "set server be/s2 state ready"))),
        (form(b="be", action="shutdown"), Order(("shutdown sessions server be/s1",))),
        (form(token="other"), Order(outcome="DENY")),
        (b"s=s1&action=maint&b=%234", Order(("set server be/s1 state maint",))),
        (form(s=["s1", "nobody"]), Order(("set server be/s1 state maint",), unknown=1)),
        (form(s="nobody"), Order(outcome="ERRP", unknown=1)),
        (form(s=""), Order(outcome="ERRP", unknown=1)),
        (form(action=""), Order(outcome="ERRP")),
        (form(action="rm"), Order(outcome="ERRP")),
        (form(b="#9"), Order(outcome="ERRP")),
        (form(b="fe"), Order(outcome="ERRP")),
        (form(s=[]), Order(outcome="NONE")),
        (b"s=s1&b=be", Order(outcome="NONE")),
        (b"", Order(outcome="NONE")),
        (b"\xff\xfe", Order(outcome="ERRP")),
        (b"a=1&" * 1100, Order(outcome="ERRP")),
        (b"x" * 20000, Order(outcome="EXCD")),
    ],
)
def test_a_form_is_an_order_and_never_with_a_wrong_token(body: bytes, order: Order) -> None:
    assert parse_order(body, CONFIG, "t") == order


@given(st.binary(max_size=300))
def test_no_form_makes_the_reader_raise(body: bytes) -> None:
    assert parse_order(body, CONFIG, "t").commands == ()


@given(st.text(min_size=1, max_size=30))
def test_a_servers_name_is_one_word_of_the_command(name: str) -> None:
    config = Farm().config
    config.proxies[BE].servers[0].name = name
    order = parse_order(form(s=name), config, "t")
    kept = name.encode("utf-8", "replace").decode().replace("\n", "").replace("\r", "")
    assert [split_words(command) for command in order.commands] == [["set", "server", f"be/{kept}", "state", "maint"]]


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_a_command_of_the_operator_socket(action: str) -> None:
    (command,) = parse_order(form(action=action), CONFIG, "t").commands
    assert find(tuple(command.split())) is not None


@pytest.mark.parametrize(("answers", "outcome"), [([], "UNKN"), ([True, True], "DONE"), ([True, False], "PART"), ([False], "NONE")])
def test_the_outcome_of_several_commands(answers: list[bool], outcome: str) -> None:
    assert outcome_of(answers) == outcome
    assert outcome in OUTCOMES


def test_tokens_are_of_one_user_and_of_one_secret() -> None:
    made = Farm()
    first = token_for(made.counters, "ann")
    assert first == token_for(made.worker, "ann")
    assert first != token_for(made.counters, "bob")
    made.counters.globals[G_SECRET] += 1
    assert first != token_for(made.counters, "ann")


def test_the_history_counts_sessions_per_second_of_all_processes() -> None:
    made, history = Farm(), History()
    number = made.counters.layout.frontends[FE]
    assert history.sample(made.counters, 100.0)
    made.worker.frontend(FE)[f.STOT] += 6
    made.other.frontend(FE)[f.STOT] += 4
    assert not history.sample(made.counters, 101.0)
    assert history.sample(made.counters, 102.0)
    assert history.of(number) == [5]
    for step in range(POINTS + 5):
        history.sample(made.counters, 104.0 + 2 * step)
    assert history.of(number) == [0] * POINTS
