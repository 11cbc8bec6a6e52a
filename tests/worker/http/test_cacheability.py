from __future__ import annotations

import pytest

from worker.http.cacheability import has_cacheable_cookie
from worker.http.head import Limits, Options, parse_response


@pytest.mark.parametrize(
    ("method", "status", "fields", "blocked"),
    [
        (b"GET", 200, b"Set-Cookie: a=1", True),
        (b"HEAD", 404, b"Set-Cookie: a=1", True),
        (b"GET", 200, b"X-A: 1", False),
        (b"POST", 200, b"Set-Cookie: a=1", False),
        (b"POST", 200, b"Set-Cookie: a=1\r\nCache-Control: public", True),
        (b"GET", 302, b"Set-Cookie: a=1", False),
        (b"GET", 302, b"Set-Cookie: a=1\r\nCache-Control: max-age=5, PUBLIC", True),
        *[
            (b"GET", 200, b"Set-Cookie: a=1\r\nCache-Control: " + words, False)
            for words in (
                b"private", b"no-store", b"max-age=0", b"s-maxage=0", b"no-cache", b"x, No-Cache", b'no-cache="set-cookie"',
                b'no-cache="set-cookie, x"', b"public, private",
            )
        ],
        (b"GET", 200, b"Set-Cookie: a=1\r\nCache-Control: max-age=60", True),
        (b"GET", 200, b'Set-Cookie: a=1\r\nCache-Control: no-cache="x"', True),
        (b"GET", 200, b"Set-Cookie: a=1\r\nPragma: no-cache", False),
    ],
)  # fmt: skip
def test_cookie_that_a_cache_might_give_away(method: bytes, status: int, fields: bytes, blocked: bool) -> None:
    data = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n\r\n" % (status, fields)
    found = parse_response(data, 0, Limits(), method, Options())
    assert found is not None
    assert has_cacheable_cookie(method, found[0]) is blocked
