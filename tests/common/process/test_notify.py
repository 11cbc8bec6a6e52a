"""Notifications for a service manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from common.process import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive_at_the_managers_socket(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@usher-notify-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify.ready("serving")
        assert manager.recv(1000).decode() == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=serving"
        assert notify.reloading()
        assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert notify.stopping()
        assert manager.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("name", ["", "relative", "/nonexistent/notify"])
def test_without_a_manager_nothing_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify.stopping()
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not notify.stopping()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "{pid}"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_signs_of_life_are_due_twice_as_often_as_the_manager_demands(
    variables: dict[str, str], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("{pid}", str(os.getpid())))
    assert notify.watchdog_interval_s() == expected


def test_a_manager_that_does_not_read_does_not_stop_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        results = [notify.stopping() for _ in range(5000)]
        assert results[0]
        assert not results[-1]
