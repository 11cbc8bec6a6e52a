"""The `usher` command with the stand-in programs of tests/common/process/echo_program.py. Prints "READY" when it serves."""

from __future__ import annotations

import os
import sys

from common.control import arguments, service

PROGRAM = "tests.common.process.echo_program"


def main() -> int:
    entry = f"{PROGRAM}:{os.environ.get('ECHO_ENTRY', 'run')}"
    options = arguments.parse(sys.argv[1:])
    role = os.environ.get("ECHO_ROLE", "")
    ready = os.environ.get("ECHO_READY")

    def say_ready() -> None:
        if ready:
            os.write(int(ready), b"READY\n")

    return service.run(service.Service(options, role, {"worker": entry, "dispatcher": entry}, ready=say_ready))


if __name__ == "__main__":
    sys.exit(main())
