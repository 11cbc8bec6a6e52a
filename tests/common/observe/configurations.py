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
