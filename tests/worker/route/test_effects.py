"""What actions do to an exchange besides its heads."""

from __future__ import annotations

import pytest

from common.acl.types import SampleType, Typed
from tests.common.acl.fakes import FakeEntry, FakeTable
from tests.worker.route.fakes import FakeSubject, environment, run, runner
from worker.route.subject import Subject


def answers_subject(subject: FakeSubject) -> Subject:
    """mypy: the fake is a Subject."""
    return subject


def text(value: bytes) -> Typed:
    return Typed(SampleType.STR, value)


# --- variables -------------------------------------------------------------------------------------------------------

VARIABLES = [
    ("set-var(txn.a) path", text(b"/path")),
    ("set-var(txn.a) src", Typed(SampleType.IPV4, b"\x7f\0\0\1")),
    ("set-var(txn.a) src_port", Typed(SampleType.INT, 1234)),
    ("set-var(txn.a) var(txn.b)", Typed(SampleType.INT, 7)),
    ("set-var-fmt(txn.a) %[src]:%[src_port]", text(b"127.0.0.1:1234")),
    ("set-var(txn.a) req.hdr(x-missing)", None),
    ("set-var(txn.a) var(txn.missing)", None),
    ("set-var(txn.a,ifempty) path", None),
]


@pytest.mark.parametrize(("line", "value"), VARIABLES)
def test_variable(line: str, value: Typed | None) -> None:
    subject = FakeSubject()
    subject.txn_variables["b"] = Typed(SampleType.INT, 7)
    run(line, subject)
    assert subject.txn_variables.get("a") == value


def test_unset() -> None:
    subject = FakeSubject()
    subject.req_variables["a"] = text(b"x")
    run("unset-var(req.a)", subject)
    assert subject.req_variables == {}


# --- the connection --------------------------------------------------------------------------------------------------


def test_address_keeps_the_port_and_port_keeps_the_address() -> None:
    subject = FakeSubject()
    run("set-src str(192.0.2.1)", subject)
    assert subject.source == (b"\xc0\0\2\1", 1234)
    run("set-src-port int(70000)", subject)
    assert subject.source == (b"\xc0\0\2\1", 70000 % 65536)
    run("set-dst str(2001:db8::1)", subject)
    run("set-dst-port str(443)", subject)
    assert subject.destination == (b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", 443)


@pytest.mark.parametrize("line", ["set-src req.hdr(x-one)", "set-src req.hdr(missing)", "set-dst str(nonsense)"])
def test_what_is_no_address_changes_nothing(line: str) -> None:
    subject = FakeSubject(b"GET / HTTP/1.1\r\nHost: a\r\nX-One: nonsense\r\n\r\n")
    run(line, subject)
    assert subject.source == (b"\x7f\0\0\1", 1234)
    assert subject.destination == (b"\x7f\0\0\2", 80)


def test_port_of_a_client_without_an_address_makes_it_ipv4() -> None:
    subject = FakeSubject()
    subject.source = (b"", 0)
    run("set-src-port int(99)", subject)
    assert subject.source == (b"\0\0\0\0", 99)


SOCKETS = [
    ("set-mark 0x10", ("mark", 16, False)),
    ("set-fc-tos 8", ("tos", 8, False)),
    ("set-bc-mark src_port", ("mark", 1234, True)),
    ("set-bc-tos int(4)", ("tos", 4, True)),
]


@pytest.mark.parametrize(("line", "told"), SOCKETS)
def test_socket_option(line: str, told: tuple[str, int, bool]) -> None:
    subject = FakeSubject()
    run(line, subject)
    assert subject.told == [told]


def test_socket_option_without_a_value_stays() -> None:
    subject = FakeSubject()
    run("set-mark req.hdr_val(missing)", subject)
    assert subject.told == []


# --- the exchange ----------------------------------------------------------------------------------------------------

ATTRIBUTES = [
    ("set-log-level debug", "log_level", 7),
    ("set-log-level silent", "log_level", -1),
    ("set-priority-class int(5)", "priority_class", 5),
    ("set-priority-class int(9999)", "priority_class", 2047),
    ("set-priority-offset int(-999999)", "priority_offset", -524287),
    ("set-priority-offset str(x)", "priority_offset", 0),
    ("set-retries 3", "retries_max", 3),
    ("set-retries int(-3)", "retries_max", 0),
    ("disable-l7-retry", "l7_retry_disabled", True),
    ("set-idempotent yes", "idempotent_rule", True),
    ("set-idempotent no", "idempotent_rule", False),
    ("strict-mode off", "rewriting_is_lenient", True),
    ("strict-mode on", "rewriting_is_lenient", False),
]


@pytest.mark.parametrize(("line", "name", "value"), ATTRIBUTES)
def test_attribute(line: str, name: str, value: object) -> None:
    subject = FakeSubject()
    run(line, subject)
    assert getattr(subject, name) == value


@pytest.mark.parametrize("line", ["set-nice 5", "wait-for-handshake"])
def test_what_has_no_meaning_here_does_nothing(line: str) -> None:
    subject = FakeSubject()
    before = dict(vars(subject))
    assert run(line, subject) is None
    assert vars(subject) == before


TIMEOUTS = [
    ("set-timeout server 5s", {"server": 5.0}),
    ("set-timeout tunnel int(250)", {"tunnel": 0.25}),
    ("set-timeout tunnel int(0)", {}),
    ("set-timeout tunnel int(-1)", {}),
    ("set-timeout tunnel req.hdr_val(missing)", {}),
]


@pytest.mark.parametrize(("line", "timeouts"), TIMEOUTS)
def test_timeout(line: str, timeouts: dict[str, float]) -> None:
    subject = FakeSubject()
    run(line, subject)
    assert subject.timeouts == timeouts


def test_log_line_now() -> None:
    subject = FakeSubject()
    run("do-log", subject)
    assert subject.told == [("log", "")]


def test_capture_is_cut_to_its_slot() -> None:
    subject = FakeSubject()
    run("capture req.hdr(cookie) id 0", subject)
    run("capture path id 1", subject)
    run("capture req.hdr(missing) id 0", subject)
    assert subject.request_captures == [b"A=1; SID", b"/pat"]
    run("capture status id 1", subject, "http-response")
    assert subject.response_captures == [None, b"200"]


def test_capture_into_a_slot_that_the_frontend_has_not_is_passed_over() -> None:
    subject = FakeSubject()
    subject.lengths = ()
    run("capture path id 1", subject)
    assert subject.request_captures == [None, None]


# --- lists -----------------------------------------------------------------------------------------------------------


def test_map_is_changed_by_rules() -> None:
    known = environment()
    patterns = known.maps.file("a.map", True, lambda path: b"127.0.0.1 old\n")
    subject = FakeSubject()
    runner("set-map(a.map) %[src] %[path]", at=known)(subject)
    runner("set-map(a.map) other x", at=known)(subject)
    assert [(entry.key, entry.value) for entry in patterns.entries_of()] == [(b"127.0.0.1", b"/path"), (b"other", b"x")]
    runner("del-map(a.map) %[src]", at=known)(subject)
    assert [entry.key for entry in patterns.entries_of()] == [b"other"]


def test_acl_file_is_changed_by_rules() -> None:
    known = environment()
    patterns = known.maps.file("list", False, lambda path: b"one\n")
    subject = FakeSubject()
    for line in ("add-acl(list) two", "add-acl(list) two", "add-acl(list) #0x1", "del-acl(list) one", "del-acl(list) #0x1"):
        runner(line, at=known)(subject)
    assert [entry.key for entry in patterns.entries_of()] == [b"two"]


def test_list_that_nobody_loads_and_one_of_the_other_kind_are_left_alone() -> None:
    known = environment()
    patterns = known.maps.file("list", False, lambda path: b"one\n")
    subject = FakeSubject()
    runner("add-acl(nowhere) x", at=known)(subject)
    runner("set-map(list) one x", at=known)(subject)
    assert [(entry.key, entry.value) for entry in patterns.entries_of()] == [(b"one", None)]


# --- tables ----------------------------------------------------------------------------------------------------------


def tracked() -> tuple[FakeSubject, FakeTable]:
    subject = FakeSubject()
    table = FakeTable(stores=("gpc0", "gpt0"))
    subject.fake_world.tables["site"] = table
    run("track-sc0 src", subject)
    return subject, table


def test_tracking_enters_the_key() -> None:
    subject, table = tracked()
    assert list(table.entries) == [Typed(SampleType.IPV4, b"\x7f\0\0\1")]
    assert subject.entries[0] is table.entries[Typed(SampleType.IPV4, b"\x7f\0\0\1")]


def test_first_tracking_of_a_number_holds() -> None:
    subject, table = tracked()
    first = subject.entries[0]
    run("track-sc0 path", subject)
    assert subject.entries[0] is first and len(table.entries) == 1
    run("track-sc1 path", subject)
    assert subject.entries[1].key == text(b"/path")


def test_nothing_is_tracked_without_a_key_or_a_table() -> None:
    subject = FakeSubject()
    run("track-sc0 src", subject)
    run("track-sc1 req.hdr(missing) table site", subject)
    assert subject.entries == {}


def test_counters_of_the_tracked_entry() -> None:
    subject, _ = tracked()
    entry = subject.entries[0]
    assert isinstance(entry, FakeEntry)
    for line in ("sc-inc-gpc0(0)", "sc-inc-gpc0(0)", "sc-inc-gpc0(1)", "sc-inc-gpc1(0)", "sc-set-gpt0(0) src_port", "sc-inc-gpc(3,0)"):
        run(line, subject)
    assert entry.data == {("gpc0", 0): 2, ("gpt0", 0): 1234}


def test_arrays_are_counted_by_index() -> None:
    subject, _ = tracked()
    entry = subject.entries[0]
    assert isinstance(entry, FakeEntry)
    entry.data.update({("gpc", 3): 0, ("gpt", 2): 0})
    for line in ("sc-inc-gpc(3,0)", "sc-add-gpc(3,0) 10", "sc-set-gpt(2,0) 5", "sc-add-gpc(3,0) req.hdr_val(missing)"):
        run(line, subject)
    assert (entry.data["gpc", 3], entry.data["gpt", 2]) == (11, 5)
