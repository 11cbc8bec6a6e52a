from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http.editor import RequestEditor, ResponseEditor, clean_value
from worker.http.grammar import REQUEST_HEAD
from worker.http.head import Limits, Request, Response, parse_request, parse_response
from worker.http.rewrite import request_head, response_head

LIMITS = Limits()


def request(fields: bytes = b"", line: bytes = b"GET /p?q HTTP/1.1") -> Request:
    found = parse_request(line + b"\r\nHost: a\r\n" + fields + b"\r\n", 0, LIMITS)
    assert found is not None
    return found[0]


def response(fields: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> Response:
    found = parse_response(line + b"\r\nContent-Length: 2\r\n" + fields + b"\r\n", 0, LIMITS, b"GET")
    assert found is not None
    return found[0]


def lines(editor: RequestEditor) -> list[bytes]:
    return request_head(editor).split(b"\r\n")[1:-2]


def test_editor_reads_like_the_head() -> None:
    head = request(b"X: 1\r\nx: 2\r\n")
    editor = RequestEditor(head)
    assert (editor.method, editor.target, editor.version, editor.host) == (b"GET", b"/p?q", 11, b"a")
    assert editor.fields == head.fields and editor.values(b"x") == [b"1", b"2"] and editor.first(b"y") is None
    assert editor.body is head.body and editor.keep_alive is head.keep_alive
    assert request_head(editor, b"Y: 1\r\n") == request_head(head, b"Y: 1\r\n")


def test_head_itself_never_changes() -> None:
    head = request(b"X: 1\r\n")
    editor = RequestEditor(head)
    editor.set_header(b"X", b"2")
    editor.set_path(b"/other")
    assert head.fields == [(b"Host", b"a"), (b"X", b"1")] and b"/p?q" in request_head(head)
    assert editor.first(b"x") == b"2"


def test_headers_are_added_set_and_deleted() -> None:
    editor = RequestEditor(request(b"A: 1\r\na: 2\r\nB: 3\r\n"))
    editor.add_header(b"B", b"4")
    assert lines(editor) == [b"Host: a", b"A: 1", b"a: 2", b"B: 3", b"B: 4"]
    editor.set_header(b"A", b"5")
    assert lines(editor) == [b"Host: a", b"B: 3", b"B: 4", b"A: 5"]
    editor.del_header(b"b")
    assert lines(editor) == [b"Host: a", b"A: 5"]
    editor.del_headers_matching(lambda name: name.startswith(b"a"))
    assert lines(editor) == [b"Host: a"]


def test_values_are_replaced_whole_or_by_member() -> None:
    editor = RequestEditor(request(b'X: a,  b b , "c,b",, xbx\r\nX: d\r\nY: b\r\n'))
    editor.replace_value(b"x", lambda value: b"z" if b"b" in value else None)
    assert editor.values(b"x") == [b"a,z,z,,z", b"d"]  # as HAProxy 2.6
    editor.replace_header(b"X", lambda value: b"<" + value + b">" if value != b"d" else None)
    assert editor.values(b"x") == [b"<a,z,z,,z>", b"d"]
    assert editor.values(b"y") == [b"b"]


def test_nothing_breaks_out_of_its_line() -> None:
    editor = RequestEditor(request())
    editor.set_header(b"X", b"a\r\nY: b\x00\n")
    editor.replace_header(b"X", lambda value: value + b"\r\n\r\n")
    editor.set_path(b"/a b\r\n\xe9?c")
    assert lines(editor) == [b"Host: a", b"X: a  Y: b"]
    assert editor.target == b"/a%20b%0D%0A%E9?c?q"
    for name in (b"", b"a b", b"a:", b"a\r\n", b"\xe9"):
        with pytest.raises(ValueError, match="not a header name"):
            editor.set_header(name, b"x")
    with pytest.raises(ValueError, match="not a method"):
        editor.set_method(b"GET /x")


TARGETS = [  # target before, change, argument, target after
    (b"/p?q", "set_path", b"/n", b"/n?q"),
    (b"/p", "set_path", b"n", b"/n"),
    (b"/p?q", "set_path", b"/n?m", b"/n?m?q"),
    (b"http://a/p?q", "set_path", b"/n", b"http://a/n?q"),
    (b"/p?q", "set_pathq", b"/n?m", b"/n?m"),
    (b"/p?q", "set_pathq", b"/n", b"/n"),
    (b"/p?q", "set_query", b"n=m", b"/p?n=m"),
    (b"/p", "set_query", b"n=m", b"/p?n=m"),
    (b"/p?q", "set_query", b"", b"/p?"),
    (b"/p", "set_query", b"", b"/p"),
    (b"/p?q", "set_uri", b"/u?v", b"/u?v"),
    (b"/p?q", "set_uri", b"*", b"*"),
    (b"/p?q", "set_uri", b"", b"/"),
    (b"/p?q", "set_path", b"", b"/?q"),
]


@pytest.mark.parametrize(("before", "change", "argument", "after"), TARGETS)
def test_target_is_changed(before: bytes, change: str, argument: bytes, after: bytes) -> None:
    editor = RequestEditor(request(line=b"GET " + before + b" HTTP/1.1"))
    getattr(editor, change)(argument)
    assert editor.target == after
    assert request_head(editor).startswith(b"GET " + after + b" HTTP/1.1\r\n")


def test_method_is_changed() -> None:
    editor = RequestEditor(request())
    editor.set_method(b"PUT")
    assert request_head(editor).startswith(b"PUT /p?q HTTP/1.1\r\n")


def test_host_and_absolute_target_stay_together() -> None:
    editor = RequestEditor(request())
    editor.set_uri(b"http://b.example:81/u")
    assert request_head(editor) == b"GET http://b.example:81/u HTTP/1.1\r\nHost: b.example:81\r\n\r\n"
    editor.set_header(b"Host", b"c")
    assert request_head(editor) == b"GET http://c/u HTTP/1.1\r\nHost: c\r\n\r\n"
    assert editor.host == b"c"


def test_what_a_rule_sets_stays_where_the_client_wants_it_removed() -> None:
    editor = RequestEditor(request(b"Connection: X-Forwarded-For, X-B\r\nX-Forwarded-For: 6.6.6.6\r\nX-B: 1\r\n"))
    editor.add_header(b"X-Forwarded-For", b"192.0.2.1")
    assert lines(editor) == [b"Host: a", b"X-Forwarded-For: 192.0.2.1"]


def test_framing_is_not_for_rules_to_change() -> None:
    editor = ResponseEditor(response())
    editor.set_header(b"content-length", b"7")
    editor.add_header(b"Transfer-Encoding", b"chunked")
    editor.del_header(b"Content-Length")
    editor.del_headers_matching(lambda name: True)
    editor.replace_header(b"content-length", lambda value: b"9")
    assert response_head(editor, 11, True) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def test_connection_close_set_by_a_rule_is_obeyed() -> None:
    editor = ResponseEditor(response(b"Connection: close\r\n"))
    assert not editor.closes  # that was between the server and us
    editor.set_header(b"Connection", b"close")
    assert editor.closes
    assert response_head(editor, 11, not editor.closes) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\n"


def test_status_is_changed() -> None:
    editor = ResponseEditor(response())
    editor.set_status(404)
    assert response_head(editor, 11, True).startswith(b"HTTP/1.1 404 Not Found\r\n")
    editor.set_status(404, b"my own\r\nX: y")
    assert response_head(editor, 11, True).startswith(b"HTTP/1.1 404 my own  X: y\r\n")
    assert not editor.closes


@pytest.mark.parametrize(("line", "status"), [(b"HTTP/1.1 200 OK", 204), (b"HTTP/1.1 304 x", 200)])
def test_status_that_belies_the_body_closes_the_connection(line: bytes, status: int) -> None:
    editor = ResponseEditor(response(line=line))
    editor.set_status(status)
    assert editor.closes


@given(st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
def test_edited_head_keeps_the_grammar(value: bytes, path: bytes, query: bytes) -> None:
    editor = RequestEditor(request(b"X: 1, 2\r\n"))
    editor.set_header(b"Y", value)
    editor.replace_value(b"X", lambda member: value)
    editor.set_path(path)
    editor.set_query(query)
    assert REQUEST_HEAD.fullmatch(request_head(editor))


def test_value_is_cleaned() -> None:
    assert clean_value(b" \ta\tb\r\n\x00c\x7f ") == b"a\tb   c"
