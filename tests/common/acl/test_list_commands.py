"""Commands about maps and ACLs; the whole-program tests compare their answers with HAProxy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.indexes import ExactIndex, RegexIndex
from common.acl.list_commands import NAMES, answer, shared_change
from common.acl.maps import MapStore, PatternList
from common.acl.patterns import Method, new_index
from common.observe.command_line import split_words


def store() -> tuple[MapStore, PatternList]:
    maps = MapStore()
    hosts = maps.file("hosts", True, lambda path: b"a one\nb two\n", "map at file 'usher.cfg' line 3")
    hosts.shared("str", ExactIndex)
    return maps, hosts


def test_every_command_has_a_function() -> None:
    maps, _ = store()
    for name in NAMES:
        if not name.startswith("share"):
            assert isinstance(answer(maps, name.split(), None), str)


def test_a_list_is_named_by_file_or_number() -> None:
    maps, hosts = store()
    assert answer(maps, ["show", "map", "hosts"], None) == answer(maps, ["show", "map", f"#{hosts.id}"], None) == "0x1 a one\n0x2 b two\n"
    assert answer(maps, ["show", "map"], None) == (
        "# id (file) description\n"
        "0 (hosts) pattern loaded from file 'hosts' used by map at file 'usher.cfg' line 3. curr_ver=0 next_ver=0 entry_cnt=2\n"
    )
    assert answer(maps, ["show", "acl", "hosts"], None) == "Unknown ACL identifier. Please use #<id> or <file>.\n"


def test_a_use_can_refuse_a_key_or_a_value() -> None:
    maps, hosts = store()
    hosts.attach(RegexIndex())
    assert "missing" in answer(maps, ["add", "map", "hosts", "([", "x"], None)
    assert len(hosts.entries) == 2


def test_a_payload_is_added_as_a_whole_or_not_at_all() -> None:
    maps, hosts = store()
    assert answer(maps, ["add", "map", "hosts"], "c three words\nd") == "Missing value for key 'd'.\n"
    assert len(hosts.entries) == 2
    assert answer(maps, ["add", "map", "hosts"], "  c   three words \n\nd four") == ""
    assert answer(maps, ["show", "map", "hosts"], None).endswith("c three words\n0x4 d four\n")


def test_what_was_added_to_a_version_that_is_gone_is_never_seen() -> None:
    maps, hosts = store()
    hosts.commit(hosts.prepare())
    assert answer(maps, ["add", "map", "@0", "hosts", "k", "v"], None) == ""
    assert answer(maps, ["show", "map", "hosts"], None) == ""


@pytest.mark.parametrize("method", [Method(name) for name in ["beg", "dir", "dom", "end", "len", "sub", "bin", "int", "ip"]])
def test_a_lookup_answers_for_any_text(method: Method) -> None:
    maps = MapStore()
    found = maps.file("list", False, lambda path: b"", "acl at file 'usher.cfg' line 3")
    found.attach(new_index(method), False, None, method.value)
    for text in ("10.0.0.1", "5", "-5", "", "\udcff", "xx", "9" * 40):
        assert answer(maps, ["get", "acl", "list", text or "x"], None).startswith(f"type={method.value}, case=sensitive, match=no")


@given(st.binary(), st.binary() | st.none())
def test_what_a_rule_changes_arrives_as_it_was(key: bytes, value: bytes | None) -> None:
    """Whatever clients put into it: it is one command, and means the same in every process."""
    here, there = store()
    there.put(key, value)
    elsewhere, other = store()
    command = shared_change(True, "hosts", key, value)
    assert "\n" not in command and ";" not in command
    assert answer(elsewhere, split_words(command), None) == ""
    assert [(entry.key, entry.value) for entry in other.entries.values()] == [(entry.key, entry.value) for entry in there.entries.values()]
    assert answer(here, split_words(command), None) == ""
    assert len(there.entries) == len(other.entries)
