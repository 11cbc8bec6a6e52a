"""Maps and ACLs at run time: commands of operators, and rules that change them. Every worker must end up with the same.

The answers are those of HAProxy, where it runs as well; references of entries are numbers of their own in each program.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import BY_NAME, PROGRAMS

_CONFIG = (
    defaults(global_lines="stats socket <unix:cli> level admin")
    + """
listen web
    bind <listen:web>
    acl is_listed hdr(host) -f <file:list>
    acl is_small path_beg /x
    http-request set-map(<file:dynamic>) %[req.hdr(x-key)] %[req.hdr(x-value)] if { path /set }
    http-request del-map(<file:dynamic>) %[req.hdr(x-key)] if { path /del }
    http-request add-acl(<file:banned>) %[req.hdr(x-key)] if { path /ban }
    http-request set-var(txn.name) hdr(host),map(<file:map>,none)
    http-request set-var(txn.dynamic) req.hdr(x-key),map(<file:dynamic>,none)
    http-request set-var(txn.net) hdr_ip(x-ip),map_ip(<file:networks>,none)
    http-request set-var(txn.number) hdr(host),map_str_int(<file:numbers>,0)
    http-request deny deny_status 403 if { req.hdr(x-key) -f <file:banned> }
    http-request deny deny_status 429 if is_listed or is_small
    http-request return status 200 content-type text/plain lf-string "NAMES"
""".replace("NAMES", " ".join(f"%[var(txn.{name})]" for name in ("name", "dynamic", "net", "number")))
)
_FILES = {
    "map": "# hosts\na.example  first one \nb.example second\n",
    "list": "listed.example\n",
    "dynamic": "",
    "banned": "",
    "networks": "10.0.0.0/8 ten\n",
    "numbers": "a.example 5\n",
}


@pytest.fixture(scope="module", params=PROGRAMS)
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp(request.param)
    with started(request.param, folder) as flow:
        yield flow


def started(program: str, folder: Path) -> Flow:
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    return Flow(folder, (BY_NAME[program], _CONFIG))


def ask(flow: Flow, command: str) -> str:
    """One command; MAP, NETS, NUMS and LIST stand for the names of files."""
    for word, name in (("MAP", "map"), ("NETS", "networks"), ("NUMS", "numbers"), ("LIST", "list"), ("DYN", "dynamic")):
        command = command.replace(word, str(flow.folder / name))
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(flow.places.address("cli")))
    client.sendall(command.encode() + b"\n")
    answer = b""
    while data := client.recv(65536):
        answer += data
    client.close()
    return re.sub(r"(?m)^0x[0-9a-f]+ ", "REF ", answer.decode()).rstrip("\n")


def get(flow: Flow, path: str = "/", host: str = "a.example", **fields: str) -> tuple[int, str]:
    client = flow.connect("web")
    lines = "".join(f"X-{name.capitalize()}: {value}\r\n" for name, value in fields.items())
    client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n".encode())
    received = client.receive_to_end().decode()
    client.close()
    head, _, body = received.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


CONVERSATION = r"""
> show map MAP
REF a.example first one
REF b.example second
> get map MAP a.example
type=str, case=sensitive, found=yes, idx=tree, key="a.example", value="first one", type="str"
> get map MAP nobody
type=str, case=sensitive, found=no
> add map MAP c.example third word
> get map MAP c.example
type=str, case=sensitive, found=yes, idx=tree, key="c.example", value="third", type="str"
> add map MAP d.example with\ blank
> show map MAP
REF a.example first one
REF b.example second
REF c.example third
REF d.example with blank
> set map MAP c.example changed
> set map MAP nobody changed
entry not found.
> set map MAP #0xffff changed
key or pattern not found.
> set map MAP c.example
'set map' expects three parameters: map identifier, key and value.
> del map MAP c.example
> del map MAP c.example
Key not found.
> del map MAP
This command expects two parameters: map identifier and key.
> del acl LIST
This command expects two parameters: ACL identifier and key.
> add map MAP onlykey
'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload
> add map nofile k v
Unknown map identifier. Please use #<id> or <file>.
> add acl LIST
'add acl' expects two parameters: ACL identifier and pattern.
> show map #999
Unknown map identifier. Please use #<id> or <file>.
> show acl #999
Unknown ACL identifier. Please use #<id> or <file>.
> get map MAP
Missing map identifier and/or key.
> get acl LIST
Missing ACL identifier and/or key.
> get acl LIST listed.example
type=str, case=sensitive, match=yes, idx=tree, pattern="listed.example"
> get acl LIST LISTED.EXAMPLE
type=str, case=sensitive, match=no
> get map NETS 10.1.2.3
type=ip, case=sensitive, found=yes, idx=tree, key="10.0.0.0/8", value="ten", type="str"
> get map NETS nonsense
type=ip, case=sensitive, found=no
> get map NUMS a.example
type=str, case=sensitive, found=yes, idx=tree, key="a.example", value="5", type="sint"
> prepare map MAP
New version created: 1
> add map @1 MAP k1 w1
> add map @1 MAP k2 w2
> show map @1 MAP
REF k1 w1
REF k2 w2
> add map @7 MAP k w
Version number in the future, please use 'prepare map' before.
> commit map @7 MAP
Version number out of range.
> commit map MAP
Missing version number.
> commit map @1 MAP
> show map MAP
REF k1 w1
REF k2 w2
> commit map @1 MAP
Version number out of range.
> prepare map nofile
Unknown map identifier. Please use #<id> or <file>.
> clear map @5 MAP
> clear map
Missing map identifier.
> clear map MAP
> show map MAP
> show map @99 MAP
> prepare acl LIST
New version created: 1
> add acl @1 LIST z.example
> commit acl @1 LIST
> show acl LIST
REF z.example
> clear acl LIST
> show acl LIST
"""


def test_a_conversation_with_the_manuals_commands(flow: Flow) -> None:
    for turn in CONVERSATION.strip().removeprefix("> ").split("\n> "):
        command, _, expected = turn.partition("\n")
        assert ask(flow, command) == expected, command
    assert ask(flow, "add map MAP <<\na.example first one\nb.example second\n") == ""
    assert ask(flow, "add map MAP <<\nonlykey\n") == "Missing value for key 'onlykey'."
    assert ask(flow, "add acl LIST listed.example") == ""
    assert ask(flow, "show map MAP") == "REF a.example first one\nREF b.example second"


def test_lists_are_named_with_who_uses_them(flow: Flow) -> None:
    maps, acls = ask(flow, "show map"), ask(flow, "show acl")
    assert maps.startswith("# id (file) description\n")
    assert re.search(r"(?m)^\d+ \(\S+/networks\) pattern loaded from file '\S+/networks' used by map at file '\S+' line \d+\. ", maps)
    assert re.search(r"(?m)^\d+ \(\) acl 'path_beg' file '\S+' line \d+\. curr_ver=0 next_ver=0 entry_cnt=1$", acls)


def test_what_stands_in_the_configuration_can_be_changed_by_its_number(flow: Flow) -> None:
    found = re.search(r"(?m)^(\d+) \(\) acl 'path_beg'", ask(flow, "show acl"))
    assert found
    assert get(flow, "/yes")[0] == 200
    assert ask(flow, f"add acl #{found[1]} /y") == ""
    assert eventually_all(flow, lambda: get(flow, "/yes")[0] == 429)
    assert ask(flow, f"del acl #{found[1]} /y") == ""
    assert eventually_all(flow, lambda: get(flow, "/yes")[0] == 200)


def eventually_all(flow: Flow, holds: object) -> bool:
    """True when it holds so often in a row that no worker can think otherwise."""
    assert callable(holds)
    eventually(lambda: all(holds() for _ in range(8)), "all workers know it")
    return True


def test_a_change_counts_for_every_worker_at_once(flow: Flow) -> None:
    ask(flow, "add map MAP live.example one")
    assert {get(flow, host="live.example")[1].split(" ")[0] for _ in range(8)} == {"one"}
    ask(flow, "set map MAP live.example two")
    assert {get(flow, host="live.example")[1].split(" ")[0] for _ in range(8)} == {"two"}
    ask(flow, "del map MAP live.example")
    assert {get(flow, host="live.example")[1].split(" ")[0] for _ in range(8)} == {"none"}
    ask(flow, "add acl LIST live.example")
    assert {get(flow, host="live.example")[0] for _ in range(8)} == {429}
    ask(flow, "del acl LIST live.example")
    assert {get(flow, host="live.example")[0] for _ in range(8)} == {200}


def test_a_rule_changes_lists_for_every_worker(flow: Flow) -> None:
    get(flow, "/set", key="k", value="one")
    assert eventually_all(flow, lambda: get(flow, key="k")[1].split(" ")[-3] == "one")
    get(flow, "/set", key="k", value="two words")
    assert eventually_all(flow, lambda: "two words" in get(flow, key="k")[1])
    assert "k two words" in ask(flow, "show map DYN")
    get(flow, "/del", key="k")
    assert eventually_all(flow, lambda: get(flow, key="k")[1].split(" ")[-3] == "none")
    get(flow, "/ban", key="evil;stop #1")
    assert eventually_all(flow, lambda: get(flow, key="evil;stop #1")[0] == 403)


@pytest.mark.skipif("usher" not in PROGRAMS, reason="about processes of Usher")
def test_a_worker_that_is_started_again_is_told_what_was_changed(tmp_path: Path) -> None:
    with started("usher", tmp_path) as flow:
        ask(flow, "add map MAP live.example one")
        ask(flow, "set map MAP live.example two")
        ask(flow, "prepare map NUMS")
        ask(flow, "add map @1 NUMS live.example 7")
        ask(flow, "commit map @1 NUMS")
        get(flow, "/set", key="k", value="kept")
        eventually_all(flow, lambda: get(flow, key="k")[1].split(" ")[-3] == "kept")
        before = flow.instance.by_role("worker")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(flow.instance.by_role("worker")) - set(before)) == len(before), "all workers are new")
        eventually(lambda: get(flow, host="live.example", key="k") == (200, "two kept  7"), "a new worker answers")
        assert {get(flow, host="live.example", key="k")[1] for _ in range(8)} == {"two kept  7"}
