"""Measures the table of an issue and writes it down: `python tests/bench/run.py [--spec issue2/cost.toml]`.

Makes certificates and files to serve, starts nginx as the server behind everybody, runs the spec, and writes
docs/bench/DATE-SPEC.md with the machine, the versions and what every cell means. Not a test: nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import cost  # noqa: E402  (as a script, only this folder is on the path)

BODIES = {"64k": 64 << 10, "1m": 1 << 20}


def make_certificates(work: Path) -> None:
    """ec.pem and rsa.pem, self-signed, as HAProxy reads them; ec.crt and ec.key for nginx."""
    kinds = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}
    for name, key in kinds.items():
        command = ["openssl", "req", "-x509", *key, "-nodes", "-days", "365", "-subj", "/CN=localhost"]
        subprocess.run([*command, "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=work, check=True, capture_output=True)
        (work / f"{name}.pem").write_bytes((work / f"{name}.crt").read_bytes() + (work / f"{name}.key").read_bytes())


def make_bodies(work: Path) -> None:
    (work / "www").mkdir()
    for name, size in BODIES.items():
        (work / "www" / name).write_bytes(os.urandom(size))


def make_maps(work: Path) -> None:
    """Hosts and the backend of each, a few and many."""
    for count in (10, 1000):
        (work / f"hosts-{count}.map").write_text("".join(f"host{number}.example be\n" for number in range(count)))


def start_server(work: Path) -> subprocess.Popen[bytes]:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.Popen([program, "-p", str(work), "-c", "backend.conf"], cwd=work, start_new_session=True)


def version(pattern: str, *command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "absent"
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else "unknown"


def machine() -> list[str]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = {
        "Python": platform.python_version(),
        "HAProxy": version(r"version (\S+)", "haproxy", "-v"),
        "nginx": version(r"nginx/(\S+)", shutil.which("nginx") or "/usr/sbin/nginx", "-v"),
        "OpenSSL": version(r"OpenSSL (\S+)", "openssl", "version"),
    }
    return [
        f"- {model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "- " + ", ".join(f"{name} {number}" for name, number in versions.items()),
        f"- commit {version(r'(.+)', 'git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD')}",
    ]


def table(results: list[cost.Result], base: str) -> list[str]:
    """A row per scenario, a column per contender: CPU µs per unit, and how that compares with the base contender."""
    contenders = list(dict.fromkeys(result.contender for result in results))
    rows = ["| work | " + " | ".join(contenders) + " |", "|---" * (len(contenders) + 1) + "|"]
    for scenario in dict.fromkeys(result.scenario for result in results):
        cells = {result.contender: result for result in results if result.scenario == scenario}
        reference = cells[base].cost_us if base in cells else float("nan")
        rows.append(f"| {scenario} | " + " | ".join(cell(cells.get(name), reference) for name in contenders) + " |")
    return rows


def cell(result: cost.Result | None, reference_us: float) -> str:
    if result is None:
        return "–"
    if not any(run.units for run in result.runs):
        return "failed"
    trouble = " (!)" if result.trouble() else ""
    return f"{result.cost_us:.1f} ({result.cost_us / reference_us:.2f}×){trouble}"


def splits(results: list[cost.Result]) -> list[str]:
    lines = []
    for result in results:
        parts = ", ".join(f"{name} {used_us:.1f}" for name, used_us in result.split().items() if used_us >= 0.05)
        costs = [run.cost_us for run in result.runs]
        trouble = f"; trouble: {'; '.join(result.trouble())}" if result.trouble() else ""
        lines.append(
            f"- {result.scenario}, {result.contender}: {parts}; {min(costs):.1f} to {max(costs):.1f} over {len(costs)} rounds; "
            f"{result.per_s:.0f}/s; {max(run.resident_kb for run in result.runs)} KB{trouble}"
        )
    return lines


def report(results: list[cost.Result], base: str, command: str) -> str:
    today = datetime.date.today().isoformat()
    return "\n".join([
        f"# Cost per unit of work, {today}",
        "",
        f"CPU microseconds (user and system, all processes of a proxy) per unit; in parentheses relative to *{base}*.",
        "Medians of runs in turn. Every process is single-threaded; the load tool and nginx behind do not count.",
        "",
        *table(results, base),
        "",
        "## Where and how",
        "",
        *machine(),
        f"- `{command}`",
        "",
        "## By process",
        "",
        *splits(results),
        "",
    ])


def main() -> None:
    parser = argparse.ArgumentParser(description="measure an issue's table and write docs/bench")
    parser.add_argument("--spec", type=Path, default=Path(__file__).parent / "issue2" / "cost.toml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--base", default="haproxy 2 tiers")
    parser.add_argument("--out", type=Path, help="default: docs/bench/DATE-SPEC.md; not written with --only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as folder:
        work = Path(folder)
        make_certificates(work)
        make_bodies(work)
        make_maps(work)
        for entry in arguments.spec.resolve().parent.iterdir():
            shutil.copy(entry, work)  # nginx looks for certificates beside its configuration
        server = start_server(work)
        try:
            cost.wait_ready(["127.0.0.1:29090"], [server])
            bench = cost.Bench(arguments.spec, work, seconds=arguments.seconds, rounds=arguments.rounds)
            results = bench.results(arguments.only)
        finally:
            server.terminate()
            server.wait(10)
    text = report(results, arguments.base, "python tests/bench/run.py " + " ".join(sys.argv[1:]))
    name = f"{datetime.date.today().isoformat()}-{arguments.spec.resolve().parent.name}.md"
    out = arguments.out or (None if arguments.only else ROOT / "docs" / "bench" / name)
    if out:
        out.write_text(text)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
