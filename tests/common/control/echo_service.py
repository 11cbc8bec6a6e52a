"""The `usher` command with the stand-in programs of tests/common/process/echo_program.py. Prints "READY" when it serves."""

from __future__ import annotations

import os
import sys

from common.control import arguments, service
from common.control.master import Master

PROGRAM = "tests.common.process.echo_program"


def main() -> int:
    entry = f"{PROGRAM}:{os.environ.get('ECHO_ENTRY', 'run')}"
    options = arguments.parse(sys.argv[1:])
    role = os.environ.get("ECHO_ROLE", "")
    ready = os.environ.get("ECHO_READY")

    async def broken_task(_master: Master) -> None:
        raise KeyError("task")

    def say_ready() -> None:
        if ready:
            os.write(int(ready), b"READY\n")

    tasks = [broken_task] if "ECHO_BROKEN_TASK" in os.environ else []
    return service.run(service.Service(options, role, {"worker": entry, "dispatcher": entry}, tasks, say_ready))


if __name__ == "__main__":
    sys.exit(main())
