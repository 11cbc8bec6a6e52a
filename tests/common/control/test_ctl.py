"""The client against a real operator socket."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from common.control import ctl
from common.control.ctl import DEFAULT_SOCKET, find_socket
from common.errors import ConfigError
from tests.common.control.test_operator import Running


async def with_service(folder: Path, client: Callable[[], int], reload_result: str = "") -> tuple[int, Running]:
    """The client's exit code, run in a thread beside a service whose socket is `admin` in the folder."""
    running = Running(folder, "{folder}/user level user", "{folder}/admin level admin")
    running.master.reload_result = reload_result
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            code = await trio.to_thread.run_sync(client)
            nursery.cancel_scope.cancel()
    return code, running


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["show", "cli", "level"], 0, "admin\n", ""),
        (["show backend; get weight be/s1"], 0, "# name\nbe\nbet\nempty\nli\n10 (initial 10)\n", ""),
        (["disable server be/s1"], 0, "", ""),
        (["get weight be/x"], 1, "", "No such server.\n"),
        (["get weight be/x; get weight be/s1"], 1, "10 (initial 10)\n", "No such server.\n"),
        (["reload"], 0, "Success=1\n--\n", ""),
    ],
)
async def test_a_command_prints_its_answer_and_its_exit_code_says_whether_it_was_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, out: str, err: str
) -> None:
    got, _running = await with_service(tmp_path, lambda: ctl.main(["-s", str(tmp_path / "admin"), *words]))
    captured = capsys.readouterr()
    assert (got, captured.out, captured.err) == (code, out, err)


async def test_a_failed_reload_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = partial(ctl.main, ["-s", str(tmp_path / "admin"), "reload"])
    got, _running = await with_service(tmp_path, client, reload_result="usher.cfg:1: no")
    assert (got, capsys.readouterr().err) == (1, "Success=0\n--\nusher.cfg:1: no\n")


async def test_json_is_asked_for_where_there_is_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "admin")
    await with_service(tmp_path, lambda: ctl.main(["-s", path, "--json", "show info"]))
    assert json.loads(capsys.readouterr().out)[0]["value"]["value"] == "Usher"


async def test_a_payload_comes_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("k1 v1\n\nk2 v2"))
    _code, running = await with_service(tmp_path, lambda: ctl.main(["-s", str(tmp_path / "admin"), "add map x <<"]))
    assert running.first.members[1].asked == ["add map x\nk1 v1\n\nk2 v2"]


async def test_the_socket_of_a_file_is_the_one_with_the_highest_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "usher.cfg"
    file.write_text(f"global\n stats socket {tmp_path}/user level user\n stats socket {tmp_path}/admin level admin\n")
    await with_service(tmp_path, lambda: ctl.main(["-v", "-f", str(file), "show cli level"]))
    captured = capsys.readouterr()
    assert captured.out == "admin\n"
    assert captured.err == f"talking to unix@{tmp_path}/admin (of {file})\n"


def test_the_socket_is_found_in_a_fixed_order() -> None:
    environment = {"USHER_SOCKET": "/run/other"}
    assert find_socket("/run/x", [], environment)[0].address.path == "/run/x"
    assert find_socket(None, [], environment)[0].address.path == "/run/other"
    assert find_socket(None, [], {})[0].address.path == DEFAULT_SOCKET
    assert find_socket("127.0.0.1:9999", [], {})[0].address.port == 9999


@pytest.mark.parametrize(
    ("content", "message"),
    [("global\n maxconn 5\n", "has no `stats socket`"), ("nonsense\n", "cannot be used"), (None, "cannot read")],
)
def test_a_file_without_a_socket_is_said(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "usher.cfg"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        find_socket(None, [str(file)], {})


@pytest.mark.parametrize("path", ["/nowhere/at/all", "fd@9", "no-such-host.invalid:99"])
def test_nobody_there_is_said(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["-s", path, "show info"]) == 2
    assert capsys.readouterr().err.startswith("usher ctl: ")


async def test_commands_are_typed_at_a_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["show cli level", "get weight <<", "ignored", "", "get weight be/s1", "quit"])
    prompts: list[str] = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return next(lines)

    monkeypatch.setattr("builtins.input", typed)
    code, _running = await with_service(tmp_path, lambda: ctl.main(["-s", str(tmp_path / "admin")]))
    assert code == 0
    assert prompts == ["> ", "> ", "+ ", "+ ", "> ", "> "]
    assert capsys.readouterr().out == "\nadmin\n\nRequire 'backend/server'.\n\n10 (initial 10)\n\n".removeprefix("\n")
