#!/usr/bin/env python3
"""http_messages_run.py --frontend PORT --backend PORT [--cases http-messages.jsonl] [--out out.jsonl] [--only NAME]

Binds 127.0.0.1:BACKEND as a raw recording backend, sends each case of http-messages.jsonl to the
proxy at 127.0.0.1:FRONTEND and judges what came out on both sides. Loopback only, one pass, no load.
Give the proxy short timeouts (about 1 s for request headers, client, server) and one server line to BACKEND,
with no retries of its own (or retries 0), no health check.
"""

import argparse
import json
import os
import re
import socket
import threading
import time
from typing import Any

OK_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# request_method of response cases that stands for more than "METHOD / HTTP/1.1"
SPECIAL_REQUESTS = {
    "GET10": b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "POSTBIG": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 50000,
}


class Reader:
    """The requests of one backend connection, read by a simple and strict-enough server."""

    def __init__(self, connection: socket.socket, record: dict[str, Any]) -> None:
        self.connection = connection
        self.record = record
        self.buffer = b""

    def more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise EOFError
        self.record["data"] += data
        self.buffer += data

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, count: int) -> None:
        while len(self.buffer) < count:
            self.more()
        self.buffer = self.buffer[count:]

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer and b"\n\n" not in self.buffer:
            self.more()
        end = re.search(rb"\r?\n\r?\n", self.buffer)
        assert end is not None
        head, self.buffer = self.buffer[: end.end()], self.buffer[end.end() :]
        return head

    def body(self, head: bytes) -> None:
        content_length = re.search(rb"(?im)^content-length: *(\d+)\s*$", head)
        if re.search(rb"(?im)^transfer-encoding:.*chunked", head):
            self.chunked()
        elif content_length:
            self.take(int(content_length.group(1)))

    def chunked(self) -> None:
        while size := int(self.line().split(b";")[0].strip() or b"0", 16):
            self.take(size + 2)
        while self.line():
            pass


class Backend:
    """Records what each connection brings. Answers 200, or the raw response of the case."""

    def __init__(self, port: int) -> None:
        self.raw: bytes | None = None
        self.close_after_raw = True
        self.records: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def forget(self) -> None:
        """A new case. Idle backend connections may be reused by the proxy, so open ones stay, emptied."""
        with self.lock:
            self.records[:] = [record for record in self.records if not record.get("done")]
            for record in self.records:
                record.update(data=b"", requests=0, incomplete=False)

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        record: dict[str, Any] = {"data": b"", "requests": 0, "incomplete": False}
        with self.lock:
            self.records.append(record)
        connection.settimeout(8)
        try:
            self.converse(connection, record)
        except (EOFError, OSError, ValueError) as error:
            record["end"] = repr(error)
        finally:
            record["done"] = True
            connection.close()

    def converse(self, connection: socket.socket, record: dict[str, Any]) -> None:
        reader = Reader(connection, record)
        while True:
            head = reader.head()
            if self.raw is not None:
                record["requests"] += 1
                connection.sendall(self.raw)
                if self.close_after_raw:
                    connection.shutdown(socket.SHUT_WR)
                    time.sleep(0.2)
                    return
                time.sleep(0.3)
                continue
            record["incomplete"] = True
            if re.search(rb"(?im)^expect: *100-continue", head):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            reader.body(head)
            record["incomplete"] = False
            record["requests"] += 1
            connection.sendall(OK_RESPONSE)


class Client:
    """Sends one case to the proxy and reads until it closes, falls silent or `wait` is over."""

    def __init__(self, port: int, idle: float, wait: float) -> None:
        self.port = port
        self.idle = idle
        self.wait = wait

    def talk(self, raw: bytes, half_close: bool = False) -> tuple[bytes, bool]:
        """(answer, whether the proxy closed)"""
        connection = socket.create_connection(("127.0.0.1", self.port), 3)

        def send() -> None:
            try:
                connection.sendall(raw)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        connection.settimeout(self.idle)
        out, closed = b"", False
        end = time.time() + self.wait
        while time.time() < end:
            try:
                data = connection.recv(65536)
            except TimeoutError:
                if out and not sender.is_alive() and not re.search(rb"HTTP/1\.[01] [45]\d\d", out):
                    break  # after an error, wait for the close
                continue
            except OSError:
                data = b""
            if not data:
                closed = True
                break
            out += data
        connection.close()
        sender.join(1)
        return out, closed


def final_statuses(out: bytes) -> list[int]:
    return [status for status in map(int, re.findall(rb"HTTP/1\.[01] (\d{3})", out)) if status >= 200]


def matching(patterns: list[str], data: bytes) -> list[str]:
    return [pattern for pattern in patterns if re.search(pattern.encode("latin-1"), data)]


def missing(patterns: list[str], data: bytes) -> list[str]:
    return [pattern for pattern in patterns if not matching([pattern], data)]


def judge_request(case: dict[str, Any], backend: Backend, out: bytes, closed: bool) -> tuple[bool, str, dict[str, Any]]:
    """(as expected, what happened, what was seen)"""
    statuses = final_statuses(out)
    time.sleep(0.05)
    with backend.lock:
        data = b"".join(record["data"] for record in backend.records)
        requests = sum(record["requests"] for record in backend.records)
        incomplete = sum(record["incomplete"] for record in backend.records)
    forbidden, absent = matching(case.get("forbid", []), data), missing(case.get("require", []), data)
    seen = {
        "status": statuses,
        "closed": closed,
        "backend_requests": requests,
        "backend_incomplete": incomplete,
        "backend_bytes": len(data),
        "forbid_hit": forbidden,
        "require_missing": absent,
    }
    status_ok = not statuses or statuses[0] in case.get("reject_status", [400])
    rejected = requests == 0 and status_ok and (closed or not case.get("must_close_client", True))
    if rejected and not statuses:
        seen["silent"] = True
    wanted = case["backend_requests"] if isinstance(case["backend_requests"], list) else [case["backend_requests"]]
    forwarded = requests in wanted and requests > 0 and not forbidden and not absent and bool(statuses)
    ok = {
        "reject": rejected,
        "forward": forwarded,
        "normalize": forwarded,
        "either": rejected or (forwarded and (not case.get("must_close_client") or closed)),
    }[case["expected"]]
    if "incomplete" in case["category"] and requests == 0:
        ok = ok or not forbidden
    got = "reject" if rejected else "forward" if requests else "reject-other" if statuses else "none"
    return ok, got, seen


def judge_response(case: dict[str, Any], out: bytes, closed: bool) -> tuple[bool, str, dict[str, Any]]:
    """(as expected, what happened, what was seen)"""
    statuses = final_statuses(out)
    forbidden, absent = matching(case.get("forbid", []), out), missing(case.get("require", []), out)
    seen = {
        "status": statuses,
        "closed": closed,
        "client_bytes": len(out),
        "forbid_hit": forbidden,
        "require_missing": absent,
    }
    bad_gateway = bool(statuses) and statuses[0] in (502, 500, 504)
    head, _, body = out.partition(b"\r\n\r\n")
    content_length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if re.search(rb"(?i)transfer-encoding: *chunked", head):
        complete = body.endswith(b"0\r\n\r\n")
    else:
        complete = content_length is not None and len(body) >= int(content_length.group(1))
    forwarded = bool(statuses) and not bad_gateway and not forbidden and not absent
    ok = {
        "502": bad_gateway or (not out and closed),
        "forward": forwarded,
        "normalize": forwarded,
        "either": bad_gateway or forwarded,
        "abort": bad_gateway or (closed and not complete),
    }[case["expected"]]
    return ok, "502" if bad_gateway else "forward" if statuses else "none", seen


def raw_bytes(case: dict[str, Any]) -> bytes:
    text = "".join(part * count for part, count in case["parts"]) if "parts" in case else case["raw"]
    return str(text).encode("latin-1")


def run_case(case: dict[str, Any], backend: Backend, client: Client) -> tuple[bool, str, dict[str, Any]]:
    backend.forget()
    if case["side"] == "request":
        backend.raw = None
        out, closed = client.talk(raw_bytes(case), case.get("client_half_close", False))
        return judge_request(case, backend, out, closed)
    backend.raw, backend.close_after_raw = raw_bytes(case), case["backend_close"]
    method = case["request_method"]
    out, closed = client.talk(SPECIAL_REQUESTS.get(method, method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n"))
    return judge_response(case, out, closed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frontend", type=int, required=True)
    parser.add_argument("--backend", type=int, required=True)
    parser.add_argument("--cases", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "http-messages.jsonl"))
    parser.add_argument("--out")
    parser.add_argument("--only")
    parser.add_argument("--idle", type=float, default=0.35)
    parser.add_argument("--wait", type=float, default=2.5)
    arguments = parser.parse_args()
    backend = Backend(arguments.backend)
    client = Client(arguments.frontend, arguments.idle, arguments.wait)
    total = as_expected = 0
    with open(arguments.cases) as cases, open(arguments.out or os.devnull, "w") as report:
        for line in cases:
            case = json.loads(line)
            if arguments.only and arguments.only != case["name"]:
                continue
            try:
                ok, got, seen = run_case(case, backend, client)
            except OSError as error:
                if case["side"] != "request":
                    raise
                print("CONNECT", case["name"], error)
                continue
            total += 1
            as_expected += ok
            report.write(json.dumps({"name": case["name"], "ok": ok, "got": got, "expected": case["expected"], **seen}) + "\n")
            report.flush()
            if not arguments.out and (not ok or arguments.only):
                print("ok " if ok else "BAD", case["name"], case["expected"], "->", got, seen)
    print(f"{as_expected} of {total} as expected")


if __name__ == "__main__":
    main()
