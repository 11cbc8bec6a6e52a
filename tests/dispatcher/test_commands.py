"""What an operator hears from a dispatcher."""

from __future__ import annotations

from tests.dispatcher.harness import frontend, running, wait_until
from tests.dispatcher.test_relay import accept, relaying


def test_show_dispatch_tells_what_every_worker_holds() -> None:
    with running(frontend(binds=2), workers=2) as (dispatcher, [first, second]):
        dispatcher.meet(first)
        dispatcher.connect_many(2, bind=0)
        dispatcher.connect(bind=1)
        numbers = [first.receive() for _ in range(3)]
        first.take(numbers[0])
        wait_until(lambda: len(dispatcher.slot(0).waiting) == 2, "one is taken")
        lines = dispatcher.ask("show dispatch").splitlines()
        assert lines[0] == "# workers: given 3, seated again 0, held 0, turned out 0"
        assert lines[1].split() == ["worker", "pid", "gen", "state", "sessions", "limit", "waiting", "handshakes", "by", "listener"]
        assert lines[2].split()[3:] == ["1", "up", "3", "-", "2", "0", "2/1"]
        assert lines[3].split() == ["worker", "2", "-", "0", "dead", "0", "-", "0", "0", "0/0"]
        del second


def test_show_dispatch_tells_what_is_relayed() -> None:
    with relaying(2) as (dispatcher, listeners):
        dispatcher.connect()
        with accept(listeners[0]):
            lines = dispatcher.ask("show dispatch").splitlines()
            assert lines[0] == "# dispatcher: relayed sessions 1"
            assert [line.split() for line in lines[2:]] == [["p1", "yes", "1"], ["p2", "yes", "0"]]


def test_unknown_command_is_answered() -> None:
    with running(frontend(), workers=0) as (dispatcher, _):
        assert dispatcher.ask("make tea") == "Unknown command.\n"
