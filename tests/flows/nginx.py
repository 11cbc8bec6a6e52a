"""A real server for the flows: Debian's nginx, one process, in the flow's folder, on a port that nobody else can take."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.flows.peers import eventually
from tests.flows.programs import listening_ports

_CONFIGURATION = """
worker_processes 1;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests {keepalive_requests};
    keepalive_timeout 60;
    client_max_body_size 64m;
    client_body_temp_path body;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} backlog=512;
        location = /hello {{ return 200 "hello\\n"; }}
        location = /who {{ return 200 "$http_x_forwarded_for\\n"; }}
        location = /host {{ return 200 "$http_host\\n"; }}
        location = /none {{ return 204; }}
        location = /length {{ client_body_buffer_size 64m; proxy_pass http://127.0.0.1:{port}/echoed-length; }}
        location = /echoed-length {{ return 200 "$http_content_length $request_method\\n"; }}
        location / {{ root www; }}
    }}
}}
"""


class Nginx:
    """Serves /hello, /who (X-Forwarded-For as it came), /host, /none (204), /length and files: /64k, /1m."""

    def __init__(self, folder: Path, port: int, *, keepalive_requests: int = 100000) -> None:
        self.folder = folder / "nginx"
        (self.folder / "www").mkdir(parents=True)
        (self.folder / "www" / "64k").write_bytes(os.urandom(64 << 10))
        (self.folder / "www" / "1m").write_bytes(os.urandom(1 << 20))
        (self.folder / "nginx.conf").write_text(_CONFIGURATION.format(port=port, keepalive_requests=keepalive_requests))
        self._errors = (self.folder / "errors").open("wb")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen(
            [program, "-p", str(self.folder), "-c", "nginx.conf"], stdout=self._errors, stderr=self._errors, start_new_session=True
        )
        eventually(lambda: self._process.poll() is not None or listening_ports({port}), "nginx listens")
        assert self._process.poll() is None, (self.folder / "errors").read_text()

    def file(self, name: str) -> bytes:
        return (self.folder / "www" / name).read_bytes()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._errors.close()
