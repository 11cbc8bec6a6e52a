"""`usher demo`: the whole thing with nothing at hand. Makes a certificate, three HTTP servers and a configuration, and runs it.

Everything it makes lies in a temporary folder that is gone when it ends.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import os
import socket
import tempfile
from collections.abc import Sequence

from common.control import demo_servers, service
from common.control.arguments import Options
from common.control.console import write

SERVERS = ("red", "green", "blue")
HTTP_PORT, HTTPS_PORT = 8080, 8443
VALID_DAYS = 30
_ENDS = (0, 130)  # Ctrl-C is how a demo ends

CONFIGURATION = """\
global
    dispatchers 1
    workers 2
    log stdout format raw local0

defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 70s

frontend web
    bind {host}:{http}
    bind {host}:{https} ssl crt {certificate}
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    use_backend blue_only if {{ path_beg /blue }}
    default_backend colours

backend colours
    balance roundrobin
{servers}

backend blue_only
    server blue {host}:{blue}
"""
WELCOME = """\
The configuration is {path} :

{configuration}
Try, in another terminal:

    curl http://{host}:{http}/
    curl http://{host}:{http}/blue
    curl --cacert {certificate} https://localhost:{https}/
    curl -k -d some=data https://{host}:{https}/slow?s=1

Ctrl-C ends it.

"""


def main(argv: Sequence[str]) -> int:
    """Run the demo until Ctrl-C."""
    words = argparse.ArgumentParser(prog="usher demo", description="Runs a demo on this machine: two ports, three servers, two workers.")
    words.add_argument("--http", type=int, default=HTTP_PORT, metavar="PORT", help=f"port for http ({HTTP_PORT}, or another)")
    words.add_argument("--https", type=int, default=HTTPS_PORT, metavar="PORT", help=f"port for https ({HTTPS_PORT}, or another)")
    given = words.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="usher-demo-") as folder:
        return _run(folder, free_port(given.http), free_port(given.https))


def _run(folder: str, http: int, https: int) -> int:
    certificate = os.path.join(folder, "demo.pem")
    write_certificate(certificate)
    listeners = dict(zip(SERVERS, demo_servers.listeners(len(SERVERS)), strict=True))
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    places = {"host": "127.0.0.1", "http": http, "https": https, "certificate": certificate}
    servers = "\n".join(f"    server {name} 127.0.0.1:{port}" for name, port in ports.items())
    configuration = CONFIGURATION.format(**places, servers=servers, blue=ports["blue"])
    path = os.path.join(folder, "demo.cfg")
    with open(path, "w") as file:
        file.write(configuration)
    welcome = WELCOME.format(**places, path=path, configuration=configuration)
    tasks = [demo_servers.task(name, listener) for name, listener in listeners.items()]
    options = Options(files=[path], master_worker=True, debug={"b"})
    code = service.run(service.Service(options, tasks=tasks, ready=lambda: write(1, welcome)))
    for listener in listeners.values():
        listener.close()
    return 0 if code in _ENDS else code


def free_port(wanted: int) -> int:
    """That port of the loopback interface or, when someone has it, another one that is free."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
                sock.listen()  # bind alone succeeds beside another one's SO_REUSEADDR
            except OSError:
                continue
            found: int = sock.getsockname()[1]
            return found
    return wanted


def write_certificate(path: str) -> None:
    """A self-signed certificate for localhost and its key, in one file that only we can read."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(host)) for host in ("127.0.0.1", "::1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM) + secret)
