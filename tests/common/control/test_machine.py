"""What a configuration needs of the machine that it is checked on."""

from __future__ import annotations

import socket
import tempfile

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.control.machine import faults


def messages(text: str) -> list[str]:
    loaded = load([("t.cfg", text.encode())], {}, options=LoadOptions())
    assert loaded.config, loaded.diagnostics
    return [found.message for found in faults(loaded.config)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("frontend f\n bind /run/x.sock user nobody-here\n", "'bind /run/x.sock' : 'user' : unknown user name 'nobody-here'"),
        ("frontend f\n bind /run/x.sock group nobody-here\n", "'bind /run/x.sock' : 'group' : unknown group name 'nobody-here'"),
        ("global\n stats socket /run/x.sock user nobody-here\n", "'stats socket' : 'user' : unknown user name 'nobody-here'"),
        ("global\n log nowhere.invalid local0\n", "log : invalid address: 'nowhere.invalid'"),
        ("backend b\n source nowhere.invalid\n", "'source' : invalid address: 'nowhere.invalid'"),
        (
            "backend b\n server s 127.0.0.1:1 check addr nowhere.invalid\n",
            "'server b/s' : 'addr' : invalid address: 'nowhere.invalid'",
        ),
        (
            "backend b\n server s 127.0.0.1:1 agent-check agent-port 1 agent-addr nowhere.invalid\n",
            "'server b/s' : 'agent-addr' : invalid address: 'nowhere.invalid'",
        ),
        ("backend b\n server s nowhere.invalid:80\n", "'server b/s' : could not resolve address 'nowhere.invalid'."),
    ],
)
def test_names_that_this_machine_does_not_know(text: str, complaint: str) -> None:
    assert messages(text) == [complaint]


def test_what_is_disabled_needs_nothing() -> None:
    assert messages("frontend f\n disabled\n bind /run/x.sock user nobody-here\nbackend b\n disabled\n source nowhere.invalid\n") == []


def test_an_inherited_descriptor_must_be_a_socket() -> None:
    with tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", 0)) as listener:
        assert messages(f"frontend f\n bind fd@{listener.fileno()}\n") == []
        assert messages(f"global\n stats socket fd@{listener.fileno()} level admin\n") == []
        listener.getsockname()  # still open
        assert messages(f"frontend f\n bind fd@{file.fileno()}\n") == [
            f"'bind fd@{file.fileno()}' : cannot use file descriptor '{file.fileno()}' : Socket operation on non-socket."
        ]
        assert messages("global\n stats socket fd@9999 level admin\n") == [
            "'stats socket' : cannot use file descriptor '9999' : Bad file descriptor."
        ]
