#!/usr/bin/env python3
"""proxy_protocol_run.py --frontend PORT --backend PORT [--out F]: send each case of proxy-protocol.jsonl to a listener
that requires a PROXY header (accept-proxy) and judge it. The proxy must send X-Forwarded-For: SRC (and may send
X-Port: SRCPORT) to the backend, which this script binds on 127.0.0.1:BACKEND. Loopback only."""

import argparse
import json
import os
import re
import socket
import threading
import time
from typing import Any

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Backend:
    """Answers every request with 200 and keeps the heads."""

    def __init__(self, port: int) -> None:
        self.heads: list[bytes] = []
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        buffer = b""
        try:
            connection.settimeout(3)
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = connection.recv(65536)
                    if not data:
                        return
                    buffer += data
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                with self.lock:
                    self.heads.append(head)
                connection.sendall(RESPONSE)
        except OSError:
            pass
        finally:
            connection.close()


def raw_bytes(case: dict[str, Any]) -> bytes:
    text = "".join(part * count for part, count in case["parts"]) if "parts" in case else case["raw"]
    return str(text).encode("latin-1")


def send(client: socket.socket, case: dict[str, Any]) -> None:
    raw = raw_bytes(case)
    request = b"" if case.get("no_request") else REQUEST
    split = case.get("split")
    if split == 1:
        for index in range(len(raw)):
            client.sendall(raw[index : index + 1])
            time.sleep(0.002)
        client.sendall(request)
    elif split:
        client.sendall(raw[:split])
        time.sleep(0.1)
        client.sendall(raw[split:] + request)
    else:
        client.sendall(raw + request)
    if case.get("client_half_close"):
        client.shutdown(socket.SHUT_WR)


def receive(client: socket.socket) -> tuple[bytes, bool]:
    """(what came, whether the other side closed)"""
    out = b""
    client.settimeout(4)
    try:
        while True:
            data = client.recv(65536)
            if not data:
                return out, True
            out += data
    except TimeoutError:
        return out, False
    except OSError:
        return out, True


def talk(frontend: int, case: dict[str, Any]) -> tuple[bytes, bool, float]:
    """(answer, closed, seconds)"""
    client = socket.create_connection(("127.0.0.1", frontend), 3)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = time.time()
    try:
        send(client, case)
    except OSError:
        pass
    out, closed = receive(client)
    client.close()
    return out, closed, time.time() - start


def judge(case: dict[str, Any], heads: list[bytes], out: bytes, closed: bool, seconds: float) -> dict[str, Any]:
    forwarded_for = re.search(rb"(?im)^x-forwarded-for: *(\S+)", heads[0]) if heads else None
    x_port = re.search(rb"(?im)^x-port: *(\d+)", heads[0]) if heads else None
    source = forwarded_for.group(1).decode("latin-1") if forwarded_for else None
    accepted = bool(heads)
    want = case.get("source")
    source_ok = True
    if accepted and want:
        ip, _, port = want.rpartition(":") if want != "local" else ("127.0.0.1", "", "")
        port_ok = not x_port or not port or x_port.group(1).decode() == port
        source_ok = source == ip.strip("[]") and port_ok
    ok = {"accept": accepted and source_ok, "reject": not accepted, "either": (not accepted) or source_ok}[case["expected"]]
    return {
        "name": case["name"],
        "expected": case["expected"],
        "ok": ok,
        "accepted": accepted,
        "src": source,
        "port": x_port.group(1).decode() if x_port else None,
        "status": [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", out)],
        "closed": closed,
        "seconds": round(seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frontend", type=int, required=True)
    parser.add_argument("--backend", type=int, required=True)
    parser.add_argument("--cases", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy-protocol.jsonl"))
    parser.add_argument("--out")
    arguments = parser.parse_args()
    backend = Backend(arguments.backend)
    results: list[dict[str, Any]] = []
    with open(arguments.cases) as cases, open(arguments.out or os.devnull, "w") as report:
        for line in cases:
            case = json.loads(line)
            with backend.lock:
                backend.heads.clear()
            out, closed, seconds = talk(arguments.frontend, case)
            time.sleep(0.02)
            with backend.lock:
                heads = list(backend.heads)
            result = judge(case, heads, out, closed, seconds)
            results.append(result)
            report.write(json.dumps(result) + "\n")
            report.flush()
            if not result["ok"]:
                print("BAD", result)
    print(f"{sum(result['ok'] for result in results)} of {len(results)} as expected")


if __name__ == "__main__":
    main()
