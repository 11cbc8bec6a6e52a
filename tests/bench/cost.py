"""CPU time per unit of work, of every process of several proxies, side by side.

    python -m tests.bench.cost SPEC.toml [--rounds 3] [--only NAME] [--json OUT]

SPEC.toml:

    [[contender]]
    name = "haproxy two tiers"
    start = ["haproxy -db -f {here}/d.cfg", "haproxy -db -f {here}/w.cfg"]  # one family of processes each
    ready = ["127.0.0.1:1234"]                          # must answer GET /s before the load starts

    [[scenario]]
    name = "keep-alive, 64 connections"
    load = "wrk -t1 -c64 -d{seconds} http://127.0.0.1:{port}/s"
    port = {"haproxy two tiers" = 1234, "usher" = 2234}

`{here}` is the spec's folder, `{python}` this interpreter, `{seconds}` the length of a run. Everything runs in the folder
`--work` (default: the current one), where relative names of the configurations lead.

The contenders run in turn, A B A B ..., so that a drifting machine hurts all alike; quote medians and ratios. CPU is user
and system time from /proc, so it hardly depends on how busy the machine is. The unit is what the load tool counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import processes

READY_S = 15.0
STOP_S = 5.0
SETTLE_S = 0.5
LOG = "contenders.log"
# What the load tools count: wrk, ab, h2load.
COUNT = [r"(\d+) requests in", r"Complete requests:\s+(\d+)", r"(\d+) succeeded"]
TROUBLE = r"(Socket errors:.*|Non-2xx.*|[1-9]\d* failed.*|Failed requests:\s+[1-9]\d*)"


@dataclass(slots=True)
class Run:
    """One load on one contender. used_us: microseconds per unit, by process name."""

    units: int
    per_s: float
    used_us: dict[str, float] = field(default_factory=dict)
    resident_kb: int = 0
    trouble: list[str] = field(default_factory=list)

    @property
    def cost_us(self) -> float:
        return sum(self.used_us.values())


@dataclass(slots=True)
class Result:
    """All runs of one contender in one scenario."""

    scenario: str
    contender: str
    runs: list[Run]

    @property
    def cost_us(self) -> float:
        """The median cost of a unit; NaN if no run did any work."""
        costs = [run.cost_us for run in self.runs if run.units]
        return statistics.median(costs) if costs else float("nan")

    @property
    def per_s(self) -> float:
        return statistics.median(run.per_s for run in self.runs)

    def split(self) -> dict[str, float]:
        names = sorted({name for run in self.runs for name in run.used_us})
        return {name: statistics.median(run.used_us.get(name, 0.0) for run in self.runs) for name in names}

    def trouble(self) -> list[str]:
        return [line for run in self.runs for line in run.trouble]


class Bench:
    """A spec, and where its programs run."""

    def __init__(self, spec: Path, work: Path, *, seconds: int, rounds: int) -> None:
        self.spec: dict[str, Any] = tomllib.loads(spec.read_text())
        self.work = work
        self.rounds = rounds
        self.words = {"here": str(spec.resolve().parent), "python": sys.executable, "seconds": str(seconds)}
        self.log = (work / LOG).open("ab")

    def results(self, only: str = "") -> list[Result]:
        """Runs every scenario whose name contains `only`, and says how it goes."""
        found = []
        for scenario in self.spec["scenario"]:
            if only not in scenario["name"]:
                continue
            runs: dict[str, list[Run]] = {}
            for _ in range(self.rounds):
                for contender in self.spec["contender"]:
                    if contender["name"] in scenario["port"]:
                        runs.setdefault(contender["name"], []).append(self.try_to_measure(contender, scenario))
            print(f"\n{scenario['name']}", flush=True)
            results = [Result(scenario["name"], name, made) for name, made in runs.items()]
            for result in results:
                say(result, results[0].cost_us)
            found += results
        return found

    def try_to_measure(self, contender: dict[str, Any], scenario: dict[str, Any]) -> Run:
        """One contender that does not start must not cost the others their table."""
        try:
            return self.measure(contender, scenario)
        except SystemExit as error:
            print(f"{contender['name']}: {error}", file=sys.stderr, flush=True)
            return Run(0, 0.0, trouble=["did not start"])

    def measure(self, contender: dict[str, Any], scenario: dict[str, Any]) -> Run:
        started = [self.start(command) for command in contender["start"]]
        try:
            self.wait_ready(contender.get("ready", []), started)
            time.sleep(SETTLE_S)
            before = {pid: processes.cpu_s(pid) for child in started for pid in processes.family(child.pid)}
            began = time.monotonic()
            load = scenario["load"].format(port=scenario["port"][contender["name"]], **self.words)
            text = subprocess.run(load, shell=True, capture_output=True, text=True, cwd=self.work).stdout
            took_s = time.monotonic() - began
            pids = [pid for child in started for pid in processes.family(child.pid)]
            units = next((int(match[1]) for pattern in COUNT if (match := re.search(pattern, text))), 0)
            run = Run(units, units / took_s, trouble=re.findall(TROUBLE, text))
            for pid in pids:
                used_us = 1e6 * (processes.cpu_s(pid) - before.get(pid, 0.0)) / max(units, 1)
                run.used_us[processes.name(pid)] = run.used_us.get(processes.name(pid), 0.0) + used_us
            run.resident_kb = sum(map(processes.resident_kb, pids))
            return run
        finally:
            stop(started)

    def wait_ready(self, addresses: list[str], started: list[subprocess.Popen[bytes]]) -> None:
        try:
            wait_ready(addresses, started)
        except SystemExit as error:
            raise SystemExit(f"{error}; what was printed:\n{(self.work / LOG).read_text()[-3000:]}") from None

    def start(self, command: str) -> subprocess.Popen[bytes]:
        words = shlex.split(command.format(**self.words))
        return subprocess.Popen(words, stdout=self.log, stderr=self.log, start_new_session=True, cwd=self.work, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


def wait_ready(addresses: list[str], started: list[subprocess.Popen[bytes]]) -> None:
    """Until each address answers a request with 200: that whoever accepts has somebody behind it, too."""
    until = time.monotonic() + READY_S
    for address in addresses:
        while not answers(address):
            if time.monotonic() > until or any(child.poll() is not None for child in started):
                raise SystemExit(f"{address} does not answer")
            time.sleep(0.05)


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 1) as connection:
            connection.sendall(b"GET /s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(1000)
    except OSError:
        return False


def stop(started: list[subprocess.Popen[bytes]]) -> None:
    for child in started:
        child.send_signal(signal.SIGTERM)
    for child in started:
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def say(result: Result, base_us: float) -> None:
    costs = [run.cost_us for run in result.runs if run.units] or [float("nan")]
    split = " + ".join(f"{name} {used_us:.1f}" for name, used_us in result.split().items() if used_us >= 0.05)
    print(
        f"  {result.contender:28} {result.cost_us:9.1f} us/unit ({split}; min {min(costs):.1f} max {max(costs):.1f})  "
        f"x{result.cost_us / base_us:5.2f}  {result.per_s:9.0f}/s  {max(run.resident_kb for run in result.runs):8} KB  "
        f"{' '.join(result.trouble())}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time per unit of work of several proxies, side by side")
    parser.add_argument("spec", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path, default=Path())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = Bench(arguments.spec, arguments.work.resolve(), seconds=arguments.seconds, rounds=arguments.rounds).results(arguments.only)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) | {"cost_us": result.cost_us} for result in results], indent=1))


if __name__ == "__main__":
    main()
