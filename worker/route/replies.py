"""Answers that rules describe: from a `Reply` to the function that makes the answer for one exchange. Sans-io.

Source: HAProxy manual 4.2 "http-request return", "http-request auth", "redirect", "http-error".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common import model
from common.acl.environment import CompileEnvironment
from common.acl.logformat import Format
from common.errors import ConfigError, ExpressionError
from common.rules.actions import Authenticate, Payload, Redirect, Reply
from common.rules.parse import parse_http_error
from worker.http import redirect
from worker.http.answers import Answer, returned, unauthorized
from worker.http.error_files import read_error_file
from worker.http.head import Limits
from worker.route.subject import Subject

MakeAnswer = Callable[[Subject], Answer]


def compile_reply(reply: Reply, environment: CompileEnvironment) -> MakeAnswer:
    """Raises ExpressionError for an error file that is no HTTP response."""
    status, headers = reply.status, reply.headers
    match reply.payload:
        case Payload.DEFAULT:
            return lambda subject: subject.error_answer(status)
        case Payload.ERROR_FILE:
            page = page_of(reply.name, reply.content, environment)
            return lambda subject: page
        case Payload.ERROR_FILES:
            return _from_section(reply, environment)
        case Payload.LF_STRING | Payload.LF_FILE:
            build = _built(reply.format)
            return lambda subject: returned(status, build(subject), reply.content_type, _fields(headers, subject))
        case _:
            if headers:
                return lambda subject: returned(status, reply.content, reply.content_type, _fields(headers, subject))
            constant = returned(status, reply.content, reply.content_type)
            return lambda subject: constant


def http_errors(proxy: model.Proxy, environment: CompileEnvironment) -> dict[int, MakeAnswer]:
    """The answers of a proxy's `http-error` lines, by status. Raises ExpressionError."""
    made = {}
    for status, words in proxy.http_errors.items():
        reply = parse_http_error(status, words, environment)
        if reply.payload is not Payload.DEFAULT:  # that one only takes back what a defaults section says
            made[status] = compile_reply(reply, environment)
    return made


def page_of(name: str, content: bytes, environment: CompileEnvironment) -> Answer:
    """The answer that an error file makes. Raises ExpressionError."""
    limits = Limits.of(environment.config.globals) if environment.config is not None else Limits()
    try:
        return read_error_file(content, limits)
    except ConfigError as error:
        raise ExpressionError(f'error file "{name}": {error}') from None


def _from_section(reply: Reply, environment: CompileEnvironment) -> MakeAnswer:
    """`errorfiles NAME`: the section's page for the status, else the proxy's."""
    sections: Mapping[str, Mapping[int, str]] = environment.config.http_errors if environment.config is not None else {}
    status = reply.status
    path = sections.get(reply.name, {}).get(status)
    if path is None:
        return lambda subject: subject.error_answer(status)
    try:
        page = page_of(path, environment.read_file(path) if path else b"", environment)
    except OSError as error:
        raise ExpressionError(f'error file "{path}" cannot be read: {error.strerror or error}') from None
    return lambda subject: page


def compile_redirect(action: Redirect) -> Callable[[Subject], Answer | None]:
    """None as its answer: the location is empty and the rule says ignore-empty."""
    build = action.target.build
    set_cookie, keep_query = action.set_cookie, action.keep_query
    made = redirect.Redirect(
        action.kind,
        action.code,
        action.drop_query,
        action.append_slash,
        action.ignore_empty,
        set_cookie if isinstance(set_cookie, bytes) else None,
        action.clear_cookie,
    )

    def answer(subject: Subject) -> Answer | None:
        request = subject.request
        text = build(subject)
        if keep_query and text and action.kind == "location" and request is not None:
            text = _with_query(text, request.target)
        found = made.answer(text, request)  # type: ignore[arg-type]
        if found is not None and isinstance(set_cookie, Format):
            found = found.with_fields((b"set-cookie", set_cookie.build(subject) + b"; path=/;"))
        return found

    return answer


def _with_query(location: bytes, target: bytes) -> bytes:
    """The location with the query of the target."""
    query = target.partition(b"?")[2]
    if not query:
        return location
    return location + (b"&" if b"?" in location else b"?") + query


def compile_challenge(action: Authenticate) -> MakeAnswer:
    """401; under `option http-use-proxy-header` 407 to a client that takes us for its proxy."""
    realm = action.realm

    def answer(subject: Subject) -> Answer:
        by_proxy = _is_proxied(subject)
        name = b"proxy-authenticate" if by_proxy else b"www-authenticate"
        page = subject.error_answer(407 if by_proxy else 401)
        kept = tuple(field for field in page.fields if field[0].lower() != name)
        return unauthorized(realm, Answer(page.status, page.reason, kept, page.body, page.silent), proxy=by_proxy)

    return answer


def _is_proxied(subject: Subject) -> bool:
    """The target names a host, and the client speaks of its connection to a proxy."""
    frontend, request = subject.session.frontend, subject.request
    if frontend is None or request is None or "http-use-proxy-header" not in frontend.options:
        return False
    return request.target[:1] not in (b"/", b"*") and bool(request.values(b"proxy-connection"))


def _fields(headers: tuple[tuple[bytes, Format], ...], subject: Subject) -> list[tuple[bytes, bytes]]:
    return [(name, value.build(subject)) for name, value in headers]


def _built(made: Format | None) -> Callable[[Subject], bytes]:
    assert made is not None
    return made.build
