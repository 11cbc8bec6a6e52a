"""The life of the service, with real processes: starts, deaths, stops and reloads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.common.control.running import DEADLINE_S, Running, alive, eventually, running

PLAIN = """
global
    workers 1
frontend www
    bind {folder}/www
"""
TIERS = """
listen dispatcher
    mode tcp
    bind {folder}/front process 1
    server p2 abns@usher-test-{pid}-p2 send-proxy
listen worker
    bind {folder}/two process 2
    bind {folder}/three process 3
"""


@contextmanager
def started(folder: Path, text: str, *arguments: str, **more: object) -> Iterator[Running]:
    """A service that may fail to start."""
    service = Running(folder, text, *arguments, **more)  # type: ignore[arg-type]
    try:
        yield service
    finally:
        service.close()


# --- who runs what ---------------------------------------------------------------------------------------------------


def test_a_plain_bind_is_listened_on_by_the_dispatcher_and_a_bind_with_process_by_that_worker(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        assert service.ask("front").startswith("dispatcher 1 1 ")
        assert service.ask("two").startswith("worker 2 1 ")
        assert service.ask("three").startswith("worker 3 1 ")
        assert sorted(service.processes().values()) == ["python", "usher-disp-1", "usher-work-2", "usher-work-3", "usher-zygote"]
        service.end(signal.SIGTERM)


@pytest.mark.parametrize(("role", "arguments", "expected"), [("worker", ("--process", "3"), ["three"]), ("dispatcher", (), ["front"])])
def test_one_tier_alone(tmp_path: Path, role: str, arguments: tuple[str, ...], expected: list[str]) -> None:
    with running(tmp_path, TIERS, *arguments, environment={"ECHO_ROLE": role}) as service:
        assert [name for name in ("front", "two", "three") if (tmp_path / name).exists()] == expected
        assert service.ask(expected[0]).startswith(role)


def test_a_process_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with started(tmp_path, TIERS, "--process", "7", environment={"ECHO_ROLE": "worker"}) as service:
        assert service.end() == 1
        assert "no worker 7 in " in service.output
        assert "the workers there are: 2, 3" in service.output


# --- deaths ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_started_again_and_the_others_keep_their_sessions(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("three") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        old = service.pid_of("usher-work-2")
        os.kill(old, signal.SIGKILL)
        line = rf"^\[ALERT\]    \({service.pid}\) : worker 2 \({old}\) was killed by SIGKILL; it is started again$"
        service.expect(line)
        assert service.ask("two") != ""
        assert service.pid_of("usher-work-2") != old
        held.sendall(b"x")
        assert held.recv(100).startswith(b"worker 3 1 ")
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


def test_a_connection_that_waits_in_the_backlog_outlives_the_worker(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        stopped = service.pid_of("usher-work-2")
        os.kill(stopped, signal.SIGSTOP)
        with service.connect("two") as client:
            client.sendall(b"who\n")
            os.kill(stopped, signal.SIGKILL)
            assert client.recv(100).startswith(b"worker 2 1 ")


def test_dying_again_and_again_is_slowed_down_and_called_a_crash_loop(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        for _ in range(5):
            service.ask("two", "exit")
        service.expect(r"worker 2 \(\d+\) exited with code 4; it is started again$")
        service.expect(r"worker 2 \(\d+\) exited with code 4; it is started again in 0\.1 s$")
        service.expect(r"worker 2 \(\d+\) exited with code 4; it is started again in 0\.4 s$")
        service.expect(r"^\[WARNING\]  \(\d+\) : worker 2 died 5 times within 60 s: a crash loop$")
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


def test_a_program_that_fails_to_start_ends_the_service_with_its_reason(tmp_path: Path) -> None:
    with started(tmp_path, TIERS, environment={"ECHO_ENTRY": "run_raise_oserror"}) as service:
        assert service.end() == 1
        assert service.output.count("[Errno 2] No such file or directory: '/nowhere.pem'") == 3
        assert f"[ALERT]    ({service.pid}) : worker 2 (" in service.output


def test_a_program_with_a_bug_is_reported_in_one_line(tmp_path: Path) -> None:
    with started(tmp_path, PLAIN, environment={"ECHO_ENTRY": "run_bug"}) as service:
        assert service.end() == 1
        assert "exited with code 70: KeyError: 'bug' at echo_program.py:" in service.output


def test_the_service_outlives_its_zygote_and_gets_another(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        zygote, worker = service.pid_of("usher-zygote"), service.pid_of("usher-work-2")
        os.kill(zygote, signal.SIGKILL)
        service.expect(rf"zygote \({zygote}\) was lost; another one is started")
        assert service.ask("two").endswith(f" {worker}")
        os.kill(worker, signal.SIGKILL)
        service.expect(rf"worker 2 \({worker}\) was killed by SIGKILL; it is started again$")
        assert service.ask("two") != ""
        assert service.pid_of("usher-work-2") != worker
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


def test_a_fault_beside_the_supervision_does_not_end_the_service(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN, environment={"ECHO_BROKEN_TASK": "1"}) as service:
        service.expect(r"a part of the master ended by a fault of ours, the service goes on: KeyError: 'task' at echo_service\.py:")
        assert service.ask("www") != ""
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


def test_when_the_master_is_killed_the_tiers_go_on_serving(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        service.signal(signal.SIGKILL)
        service.process.wait()
        eventually("the zygote left", lambda: "usher-zygote" not in service.processes().values())
        assert service.ask("front").startswith("dispatcher 1 1 ")
        assert service.ask("two").startswith("worker 2 1 ")
        held.sendall(b"x")
        assert held.recv(100).startswith(b"worker 2 1 ")
        assert sorted(service.processes().values()) == ["usher-disp-1", "usher-work-2", "usher-work-3"]


def test_a_master_that_is_killed_before_anything_is_ready_leaves_nobody(tmp_path: Path) -> None:
    with started(tmp_path, TIERS) as service:
        eventually("the zygote exists", lambda: "usher-zygote" in service.processes().values())
        service.signal(signal.SIGKILL)
        service.process.wait()
        eventually("nobody is left", lambda: service.processes() == {})


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "signum", "expected"),
    [
        (("-db",), signal.SIGTERM, -signal.SIGTERM),
        (("-W",), signal.SIGTERM, 0),
        (("-W", "-db"), signal.SIGINT, 130),
        ((), signal.SIGUSR1, 0),
    ],
)
def test_exit_codes_are_haproxys(tmp_path: Path, arguments: tuple[str, ...], signum: int, expected: int) -> None:
    with running(tmp_path, PLAIN, *arguments) as service:
        assert service.end(signum) == expected


def test_sessions_do_not_hold_up_a_hard_stop(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        assert service.end(signal.SIGTERM, within_s=1.0) == -signal.SIGTERM
        assert held.recv(100) == b""


def test_sigint_ends_the_service_also_where_it_was_inherited_as_ignored(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})

    with running(tmp_path, PLAIN, before_exec=ignore) as service:
        assert service.end(signal.SIGINT) == -signal.SIGINT


def test_a_signal_to_the_whole_group_is_a_stop_and_no_crash(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        os.killpg(service.pid, signal.SIGINT)
        assert service.end() == -signal.SIGINT
        assert "started again" not in service.output
        assert "ALERT" not in service.output


@pytest.mark.parametrize("name", ["usher-work-2", "usher-zygote"])
def test_a_process_that_is_stopped_does_not_hold_up_the_end(tmp_path: Path, name: str) -> None:
    with running(tmp_path, TIERS) as service:
        os.kill(service.pid_of(name), signal.SIGSTOP)
        assert service.end(signal.SIGTERM, within_s=5.0) == -signal.SIGTERM


def test_a_stop_during_the_start_leaves_nobody(tmp_path: Path) -> None:
    with started(tmp_path, TIERS, environment={"ECHO_ENTRY": "run_wait"}) as service:
        eventually("the workers exist", lambda: "usher-work-3" in service.processes().values())
        assert service.end(signal.SIGTERM, within_s=5.0) == -signal.SIGTERM


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGUSR1, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGUSR2, None)])
def test_a_signal_is_obeyed_from_the_moment_that_sockets_accept(tmp_path: Path, signum: int, expected: int | None) -> None:
    with started(tmp_path, PLAIN) as service:
        eventually("it listens", (tmp_path / "www").exists)
        service.signal(signum)
        if expected is None:
            service.ready()
            expected = -signal.SIGTERM
            service.signal(signal.SIGTERM)
        assert service.end() == expected


def test_a_soft_stop_waits_for_the_last_session_and_accepts_no_other(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        service.signal(signal.SIGUSR1)
        eventually("all others left", lambda: not {"usher-disp-1", "usher-work-3"} & set(service.processes().values()))
        for name in ("front", "two", "three"):
            with pytest.raises(ConnectionRefusedError):
                service.connect(name)
        held.sendall(b"x")
        assert held.recv(100).startswith(b"worker 2 1 ")
        assert service.end() == 0


def test_a_second_signal_turns_a_soft_stop_into_a_hard_one(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        service.signal(signal.SIGUSR1)
        service.expect("stopping after the last session")
        assert service.end(signal.SIGTERM, within_s=2.0) == -signal.SIGTERM


def test_hard_stop_after_limits_a_soft_stop(tmp_path: Path) -> None:
    with running(tmp_path, TIERS + "global\n    hard-stop-after 100ms\n") as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        assert service.end(signal.SIGUSR1) == 0
        assert "hard-stop-after has passed" in service.output


# --- reload ----------------------------------------------------------------------------------------------------------


def test_a_reload_replaces_the_processes_keeps_the_sessions_and_the_pid(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service, service.connect("two") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        service.write(TIERS.replace("three", "four"))
        service.signal(signal.SIGUSR2)
        service.expect(r"generation 2 serves")
        eventually("the new worker answers", lambda: service.ask("two").startswith("worker 2 2 "))
        assert service.ask("four").startswith("worker 3 2 ")
        eventually("processes without sessions ended", lambda: list(service.processes().values()).count("usher-disp-1") == 1)
        held.sendall(b"x")
        assert held.recv(100).startswith(b"worker 2 1 ")
        eventually("the old worker ended", lambda: list(service.processes().values()).count("usher-work-2") == 1)
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


def test_a_failed_reload_changes_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    with running(tmp_path, TIERS) as service:
        before = service.processes()
        service.write("frontend www\n    bind {folder}/www\n    nonsense\n")
        service.signal(signal.SIGUSR2)
        service.expect(r"unknown keyword 'nonsense'")
        service.expect(r"reload failed, generation 1 goes on")
        service.write(TIERS.replace("{folder}/three", "/nonexistent/three"))
        service.signal(signal.SIGUSR2)
        service.expect(r"cannot bind UNIX socket \(No such file or directory\)")
        assert service.processes() == before
        assert service.ask("two").startswith("worker 2 1 ")
        service.write(TIERS)
        service.signal(signal.SIGHUP)
        service.expect(r"generation 2 serves")
        eventually("the new worker answers", lambda: service.ask("two").startswith("worker 2 2 "))


# --- faults of the start ---------------------------------------------------------------------------------------------


def test_every_address_that_cannot_be_bound_is_reported_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"frontend a\n    bind 127.0.0.1:{port}\nfrontend b\n    bind /nonexistent/b\n"
        with started(tmp_path, text) as service:
            assert service.end() == 1
    config = tmp_path / "usher.cfg"
    start = f"[ALERT]    ({service.pid}) : "
    assert service.output.splitlines()[-3:] == [
        f"{start}Binding [{config}:8] for frontend a: cannot bind socket (Address already in use) for [127.0.0.1:{port}]",
        f"{start}Binding [{config}:10] for frontend b: cannot bind UNIX socket (No such file or directory) for [/nonexistent/b]",
        f"{start}[usher.main()] Some protocols failed to start their listeners! Exiting.",
    ]


def test_a_faulty_file_ends_with_1_and_an_unknown_user_too(tmp_path: Path) -> None:
    with started(tmp_path, "frontend www\n    nonsense\n") as service:
        assert service.end() == 1
        assert "unknown keyword 'nonsense'" in service.output
    with started(tmp_path, PLAIN + "global\n    user no-such-user-here\n") as service:
        assert service.end() == 1
        assert "cannot find user id for 'no-such-user-here'" in service.output


# --- the world around ------------------------------------------------------------------------------------------------


def pidfile_of(folder: Path) -> int:
    return int((folder / "pid").read_text())


def test_a_daemon_lets_its_caller_go_when_it_serves(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN, "-D", "-p", str(tmp_path / "pid")) as service:
        assert service.process.wait(DEADLINE_S) == 0
        eventually("the terminal is free", lambda: service.read() is not None and service._eof)
        master = pidfile_of(tmp_path)
        assert service.processes()[master]
        assert os.getsid(master) != os.getsid(0)
        assert service.ask("www").startswith("dispatcher 1 1 ")
        os.kill(master, signal.SIGTERM)
        eventually("the daemon ended", lambda: service.processes() == {})
        assert "Traceback" not in service.output


def test_a_daemon_that_cannot_start_tells_its_caller(tmp_path: Path) -> None:
    with started(tmp_path, PLAIN, "-D", environment={"ECHO_ENTRY": "run_raise_oserror"}) as service:
        assert service.end() == 1
        assert "No such file or directory: '/nowhere.pem'" in service.output


def test_daemon_of_section_global_is_overridden_by_db(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN + "global\n    daemon\n", "-db") as service:
        assert service.process.poll() is None
        assert service.end(signal.SIGTERM) == -signal.SIGTERM


@pytest.mark.parametrize(("option", "finishes"), [("-sf", True), ("-st", False)])
def test_a_new_service_asks_the_old_one_to_leave(tmp_path: Path, option: str, finishes: bool) -> None:
    with running(tmp_path, PLAIN, "-p", str(tmp_path / "pid")) as old, old.connect("www") as held:
        held.sendall(b"hang\n")
        assert held.recv(100) == b"hanging\n"
        assert pidfile_of(tmp_path) == old.pid
        with running(tmp_path, PLAIN, "-p", str(tmp_path / "pid"), option, str(old.pid)) as new:
            assert pidfile_of(tmp_path) == new.pid
            if finishes:
                old.expect("stopping after the last session")
                held.sendall(b"x")
                assert held.recv(100).startswith(b"dispatcher 1 1 ")
            old.process.wait(DEADLINE_S)
            assert new.ask("www") != ""
            new.end(signal.SIGTERM)


@pytest.mark.parametrize("name", ["${WWW}", "${web}"])
def test_inherited_sockets_are_adopted_by_variable_and_by_systemds_name(tmp_path: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(tmp_path / "given"))

        text = PLAIN.replace("{folder}/www", f'"fd@{name}"')
        pass_fds = [given.fileno()]
        environment = {"WWW": str(given.fileno())}
        command: tuple[str, ...] = ("-m", "tests.common.control.echo_service")
        if name == "${web}":
            # What systemd does: descriptor 3 is the socket, and LISTEN_PID is the service's own pid.
            start = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); " + (
                "sys.argv[1:2] = []; from tests.common.control import echo_service; sys.exit(echo_service.main())"
            )
            environment = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
            command = ("-c", start, str(given.fileno()))
        with running(tmp_path, text, environment=environment, pass_fds=pass_fds, command=command) as service:
            assert service.ask("given").startswith("dispatcher 1 1 ")


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        with running(tmp_path, PLAIN, "-Ws", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as service:
            said = manager.recv(1000).decode().splitlines()
            assert said[:2] == ["READY=1", f"MAINPID={service.pid}"]
            service.signal(signal.SIGUSR2)
            assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(1000).startswith(b"READY=1\n")
            service.signal(signal.SIGTERM)
            assert manager.recv(1000) == b"STOPPING=1"
            assert service.end() == 0


def test_a_low_limit_on_open_files_is_told_and_stops_no_start(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN + "global\n    maxconn 100000\n    fd-hard-limit 301\n") as service:
        service.expect(r"^\[NOTICE\]   \(\d+\) : maxconn 100000 needs 200000 open files, .*: 100 holds\.")
        assert service.ask("www") != ""


def test_quiet_means_quiet(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN, "-q") as service:
        os.kill(service.pid_of("usher-work-1"), signal.SIGKILL)
        eventually("it is back", lambda: "usher-work-1" in service.processes().values())
        service.end(signal.SIGTERM)
        assert "NOTICE" not in service.output


def test_the_commands_pid_is_the_masters(tmp_path: Path) -> None:
    with running(tmp_path, PLAIN) as service:
        parent = subprocess.run(["ps", "-o", "ppid=", "-p", str(service.pid_of("usher-zygote"))], capture_output=True, check=True).stdout
        assert int(parent) == service.pid
        assert alive(service.pid)
