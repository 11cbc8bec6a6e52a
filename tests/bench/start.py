"""How long `usher -f` takes from its start until it accepts, for a small file: least and median of ten starts, in seconds.

Run `python -m tests.bench.start [--runs N]`. A start is over when its port accepts a connection; the stop is not counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIGURATION = """
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind 127.0.0.1:{port}
    default_backend app
backend app
    server one 127.0.0.1:9
"""
DEADLINE_S = 20.0
POLL_S = 0.002


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10)
    times = [start_s() for _ in range(parser.parse_args().runs)]
    print(f"start to accepting: least {min(times):.3f} s, median {statistics.median(times):.3f} s, {len(times)} runs")
    return 0


def start_s() -> float:
    """One start, in seconds."""
    with socket.socket() as reserved, tempfile.TemporaryDirectory() as folder:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))  # bound and never listening: nobody else gets the port, and Usher may name it
        port = reserved.getsockname()[1]
        path = Path(folder, "usher.cfg")
        path.write_text(CONFIGURATION.format(port=port))
        begun = time.monotonic()
        command = [sys.executable, "-m", "common.control.command", "-q", "-f", str(path)]
        process = subprocess.Popen(command, env=os.environ, start_new_session=True)
        try:
            _wait_accepting(port, process, begun + DEADLINE_S)
            return time.monotonic() - begun
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


def _wait_accepting(port: int, process: subprocess.Popen[bytes], deadline: float) -> None:
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(POLL_S)
    raise SystemExit(f"no start within {DEADLINE_S} s (exit code {process.poll()})")


if __name__ == "__main__":
    sys.exit(main())
