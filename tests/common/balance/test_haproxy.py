"""Our choices beside those of a real HAProxy: the same key must reach the same server, whichever of the two asks."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.balance.keys import parameter_key, uri_key
from common.balance.make import make, parse_algorithm
from tests.common.balance.farm import candidates, unloaded

pytestmark = pytest.mark.interop("haproxy")

WEIGHTS = ((1, 1, 1), (3, 2, 1), (7, 1, 5, 4), (10, 100, 33), (256, 1))
HASH_TYPES = (
    "map-based", "map-based djb2", "map-based wt6", "map-based crc32 avalanche", "consistent", "consistent sdbm",
    "consistent djb2 avalanche", "consistent wt6", "consistent crc32",
)  # fmt: skip
BY_HEADER = {f"h{number}": (HASH_TYPES[number % len(HASH_TYPES)], WEIGHTS[number % len(WEIGHTS)]) for number in range(18)}
# Not "use_domain_only": HAProxy 2.6 also looks at the byte behind the value, so about one answer in fifty depends on chance.
BY_TARGET = {
    f"t{number}": words
    for number, words in enumerate(
        ("uri", "uri whole", "uri len 6", "uri depth 1", "uri depth 2 len 9", "uri path-only", "url_param id", "hdr(k)")
    )
}
TARGET_WEIGHTS = (7, 1, 5, 4)


def configuration(folder: Path) -> str:
    lines = ["defaults", " mode http", " timeout client 9s", " timeout server 9s", " timeout connect 9s"]
    lines += ["frontend server", f" bind unix@{folder}/server", ' http-request return status 200 content-type text/plain string "x"']
    lines += ["frontend front", f" bind unix@{folder}/front", " use_backend %[req.hdr(backend)]"]
    backends = [(name, "hdr(k)", kind, weights) for name, (kind, weights) in BY_HEADER.items()]
    backends += [(name, words, "map-based", TARGET_WEIGHTS) for name, words in BY_TARGET.items()]
    for name, balance, hash_type, weights in backends:
        lines += [f"backend {name}", f" balance {balance}", f" hash-type {hash_type}", " http-after-response set-header chosen %s"]
        lines += [f" server {index} unix@{folder}/server weight {weight}" for index, weight in enumerate(weights)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("haproxy")
    file = folder / "haproxy.cfg"
    file.write_text(configuration(folder))
    program = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (folder / "front").exists() and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert program.poll() is None and (folder / "front").exists()
        yield folder / "front"
    finally:
        program.terminate()
        program.wait(10)


def chosen(path: Path, backend: str, requests: list[tuple[str, str]]) -> list[int]:
    """The servers that HAProxy chooses for requests (target, header k)."""
    servers = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        answers = sock.makefile("rb")
        for target, key in requests:
            sock.sendall(f"GET {target} HTTP/1.1\r\nhost: h\r\nbackend: {backend}\r\nk: {key}\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = answers.readline()
                assert line, "HAProxy closed"
                head += line
            answers.read(1)
            servers.append(int(head.partition(b"\r\nchosen: ")[2].partition(b"\r\n")[0]))
    return servers


@pytest.mark.parametrize("backend", BY_HEADER)
def test_hashes_lead_to_the_same_server(haproxy: Path, backend: str, seed: int) -> None:
    chance = random.Random(seed)
    keys = ["".join(chance.choices("abcXYZ0123456789-./", k=chance.randint(1, 30))) for _ in range(120)]
    hash_type, weights = BY_HEADER[backend]
    balancer = make(["hdr(k)"], hash_type.split(), candidates(*weights))
    ours = [balancer.choose(key.encode(), unloaded) for key in keys]
    assert ours == chosen(haproxy, backend, [("/", key) for key in keys])


@pytest.mark.parametrize("backend", BY_TARGET)
def test_keys_are_cut_from_requests_alike(haproxy: Path, backend: str, seed: int) -> None:
    chance = random.Random(seed)

    def word() -> str:
        return "".join(chance.choices("abc", k=chance.randint(1, 4)))

    requests = []
    for _ in range(80):
        path = "/" + "/".join(word() for _ in range(chance.randint(1, 4)))
        requests.append((f"{path}?x={word()}&id={chance.randrange(99)}", word()))
    algorithm = parse_algorithm(BY_TARGET[backend].split())
    balancer = make(BY_TARGET[backend].split(), ["map-based"], candidates(*TARGET_WEIGHTS))
    key_of: dict[str, Callable[[str, str], bytes | None]] = {
        "uri": lambda target, _: uri_key(
            target.encode(),
            length_max=algorithm.length_max,
            depth_max=algorithm.depth_max,
            whole="whole" in algorithm.flags,
            path_only="path-only" in algorithm.flags,
        ),
        "url_param": lambda target, _: parameter_key(target.encode().partition(b"?")[2], algorithm.argument.encode()),
        "hdr": lambda _, header: header.encode(),
    }
    ours = [balancer.choose(key_of[algorithm.name](*request), unloaded) for request in requests]
    assert ours == chosen(haproxy, backend, requests)
