from __future__ import annotations

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.model import Proxy
from common.observe.page_settings import PageSettings, page_settings

HEAD = "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"


def proxy(lines: str, defaults: str = "") -> Proxy:
    loaded = load([("x", f"{HEAD}{defaults}listen web\n bind :80\n{lines}".encode())], {}, options=LoadOptions())
    assert loaded.config is not None, loaded.diagnostics
    return loaded.config.proxies[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", None),
        (" stats enable\n", PageSettings()),
        (" stats uri /s\n", PageSettings("/s")),
        (" stats refresh 5\n", PageSettings(refresh_s=5)),
        (" stats refresh 5000ms\n", PageSettings(refresh_s=5)),
        (" stats hide-version\n", PageSettings(shows_version=False)),
        (" stats scope .\n stats scope other\n", PageSettings(scope=frozenset(("web", "other")))),
        (" stats show-legends\n stats show-modules\n", PageSettings(legends=True, modules=True)),
        (" stats show-node\n stats show-desc All of it\n", PageSettings(node="", description="All of it")),
        (" stats show-node here\n", PageSettings(node="here")),
        (" stats admin if TRUE\n", PageSettings()),
        (" stats http-request allow\n", PageSettings()),
    ],
)
def test_any_line_makes_a_page(lines: str, expected: PageSettings | None) -> None:
    assert page_settings(proxy(lines)) == expected


def test_logins_have_their_passwords_as_written() -> None:
    found = page_settings(proxy(" stats realm The\\ Realm\n stats auth a:b:c\n stats auth d:e\n"))
    assert found is not None
    assert found.realm == "The Realm"
    assert [(user.name, user.password, user.encrypted) for user in found.users] == [("a", "b:c", False), ("d", "e", False)]


def test_defaults_are_inherited() -> None:
    found = page_settings(proxy("", " stats enable\n stats uri /all\n stats auth a:b\n"))
    assert found is not None
    assert found.uri == "/all"
    assert found.users[0].name == "a"
