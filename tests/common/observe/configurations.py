"""Small configurations for the tests of what is observed."""

from __future__ import annotations

from common.model import Address, AddressKind, Bind, Config, Place, Proxy, Server

PLACE = Place()


def address(port: int, host: str = "127.0.0.1") -> Address:
    return Address(AddressKind.INET, host, port)


def server(name: str, port: int = 8000, **settings: object) -> Server:
    return Server(PLACE, name, address(port), **settings)  # type: ignore[arg-type]


def web() -> Config:
    """A frontend `fe` with two binds, a backend `be` with two servers, a `listen li` with one of each."""
    return Config(
        proxies=[
            Proxy(
                PLACE, "fe", True, False, id=2, mode="http", binds=[Bind(PLACE, address(80), "b1", id=0), Bind(PLACE, address(81), id=1)]
            ),
            Proxy(PLACE, "be", False, True, id=3, mode="http", servers=[server("s1", 8001), server("s2", 8002)]),
            Proxy(PLACE, "li", True, True, id=4, binds=[Bind(PLACE, address(82), id=2)], servers=[server("l1", 8003)]),
        ]
    )


def farm() -> Config:
    """Every kind of object that statistics tell apart; ports as the interop test gives them to HAProxy."""
    return Config(
        proxies=[
            Proxy(PLACE, "fe", True, False, 2, "http", binds=[Bind(PLACE, address(18901), "b1", id=0), Bind(PLACE, address(18902), id=1)],
                  options=frozenset({"socket-stats"}), maxconn=50, default_backend="be"),
            Proxy(PLACE, "fet", True, False, 3, "tcp", binds=[Bind(PLACE, address(18903), id=2)], default_backend="bet"),
            Proxy(PLACE, "be", False, True, 4, "http", balance=("leastconn",), cookie=("SRV", "insert"), servers=[
                server("s1", 18911, id=1, check=True, cookie="a", maxconn=10, maxqueue=5, weight=10),
                server("s2", 18912, id=2, check=True),
                server("s3", 18913, id=3, backup=True, options={"track": ("s1",)}),
                server("s4", 18914, id=4, disabled=True),
            ]),
            Proxy(PLACE, "bet", False, True, 5, "tcp", servers=[server("t1", 18911, id=1, options={"agent-check": ()})]),
            Proxy(PLACE, "empty", False, True, 6, "http"),
            Proxy(PLACE, "li", True, True, 7, "http", binds=[Bind(PLACE, address(18904), id=3)], servers=[server("l1", 18911, id=1)]),
        ]
    )  # fmt: skip


FARM_FILE = """
global
    maxconn 1000
    stats socket {socket} level admin
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
frontend fe
    bind 127.0.0.1:{fe1} name b1
    bind 127.0.0.1:{fe2}
    option socket-stats
    maxconn 50
    default_backend be
frontend fet
    mode tcp
    bind 127.0.0.1:{fet}
    default_backend bet
backend be
    balance leastconn
    cookie SRV insert
    server s1 127.0.0.1:1 check cookie a maxconn 10 maxqueue 5 weight 10
    server s2 127.0.0.1:1 check
    server s3 127.0.0.1:1 backup track s1
    server s4 127.0.0.1:1 disabled
backend bet
    mode tcp
    server t1 127.0.0.1:1 agent-check agent-port 1
backend empty
listen li
    bind 127.0.0.1:{li}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    server l1 127.0.0.1:1
"""
