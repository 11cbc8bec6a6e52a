"""Actions that rewrite heads, as functions over an exchange. Sans-io.

A rewriting that fails (a method that is none, …) raises ValueError; worker/route/evaluate.py knows what `strict-mode` says to that.

Source: HAProxy manual 4.2 "http-request set-header" … "http-response set-status".
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.facts import Facts
from common.errors import WireError
from common.rules.actions import (
    AddHeader,
    DeleteHeader,
    DeleteHeaders,
    EarlyHint,
    NormalizeUri,
    Part,
    ReplaceHeader,
    ReplaceTarget,
    SetHeader,
    SetMethod,
    SetStatus,
    SetTarget,
)
from common.rules.replacement import Replacement
from worker.http import url
from worker.http.editor import SPECIAL, Replace, RequestEditor, clean_value
from worker.http.normalize import NORMALIZERS
from worker.route.subject import Subject
from worker.route.verdicts import Refuse

Edit = Callable[[Subject], None]
Run = Callable[[Subject], object]


def add_header(action: AddHeader, response: bool) -> Edit:
    name, build = action.name, action.value.build
    if response:
        return lambda subject: subject.edit_response().add_header(name, build(subject))
    return lambda subject: subject.edit_request().add_header(name, build(subject))


def set_header(action: SetHeader, response: bool) -> Edit:
    """The value is made before the old ones go: it may be made of them. Rules set few names, so each name is judged once."""
    name, lower = action.name, action.name.lower()
    build, constant = action.value.build, action.value.constant
    if lower in SPECIAL:
        return _set_special(name, build, response)
    if constant is not None:
        clean = clean_value(constant)
        if response:
            return lambda subject: subject.edit_response().put(lower, name, clean)
        return lambda subject: subject.edit_request().put(lower, name, clean)
    if response:

        def set_in_response(subject: Subject) -> None:
            value = clean_value(build(subject))
            subject.edit_response().put(lower, name, value)

        return set_in_response

    def set_in_request(subject: Subject) -> None:
        value = clean_value(build(subject))
        subject.edit_request().put(lower, name, value)

    return set_in_request


def _set_special(name: bytes, build: Callable[[Facts], bytes], response: bool) -> Edit:
    def edit(subject: Subject) -> None:
        value = build(subject)
        (subject.edit_response() if response else subject.edit_request()).set_header(name, value)

    return edit


def delete_header(action: DeleteHeader, response: bool) -> Edit:
    """Where there is no such field nothing is edited, so that the head goes on as it came."""
    name, lower = action.name, action.name.lower()
    if response:

        def delete_in_response(subject: Subject) -> None:
            head = subject.response
            if head is not None and head.values(lower):
                subject.edit_response().del_header(name)

        return delete_in_response

    def delete_in_request(subject: Subject) -> None:
        head = subject.request
        if head is not None and head.values(lower):
            subject.edit_request().del_header(name)

    return delete_in_request


def delete_headers(action: DeleteHeaders, response: bool) -> Edit:
    matches = action.matches
    if response:
        return lambda subject: subject.edit_response().del_headers_matching(matches)
    return lambda subject: subject.edit_request().del_headers_matching(matches)


def replace_header(action: ReplaceHeader, response: bool) -> Edit:
    name, each_value = action.name, action.each_value
    lower = name.lower()

    def replace(subject: Subject) -> None:
        head = subject.response if response else subject.request
        if head is None or not head.values(lower):
            return
        editor = subject.edit_response() if response else subject.edit_request()
        change = _replacer(action.regex, action.replacement, subject)
        if each_value:
            editor.replace_value(name, change)
        else:
            editor.replace_header(name, change)

    return replace


def _replacer(regex: object, replacement: Replacement, subject: Subject) -> Replace:
    """A value that matches becomes the replacement, whole."""
    search = regex.search  # type: ignore[attr-defined]
    fill = replacement.fill

    def change(value: bytes) -> bytes | None:
        match = search(value)
        return None if match is None else fill(subject, match)

    return change


def early_hint(action: EarlyHint) -> Edit:
    name, build = action.name, action.value.build

    def hint(subject: Subject) -> None:
        value = clean_value(build(subject))
        if subject.early_hints is None:
            subject.early_hints = []
        subject.early_hints.append((name, value))

    return hint


def set_method(action: SetMethod) -> Edit:
    build = action.method.build
    return lambda subject: subject.edit_request().set_method(build(subject))


_SETTERS: dict[Part, Callable[[RequestEditor, bytes], None]] = {
    Part.PATH: RequestEditor.set_path,
    Part.PATHQ: RequestEditor.set_pathq,
    Part.QUERY: RequestEditor.set_query,
    Part.URI: RequestEditor.set_uri,
}


def set_target(action: SetTarget) -> Edit:
    assign, build = _SETTERS[action.part], action.text.build

    def edit(subject: Subject) -> None:
        text = build(subject)
        assign(subject.edit_request(), text)

    return edit


def replace_target(action: ReplaceTarget) -> Edit:
    """The part is replaced whole when it matches."""
    assign, read = _SETTERS[action.part], _READERS[action.part]
    search, fill = action.regex.search, action.replacement.fill

    def edit(subject: Subject) -> None:
        request = subject.request
        if request is None:
            return
        match = search(read(request.target))
        if match is not None:
            text = fill(subject, match)
            assign(subject.edit_request(), text)

    return edit


def _pathq(target: bytes) -> bytes:
    held = url.split(target)
    return bytes(held._replace(origin=b""))


_READERS: dict[Part, Callable[[bytes], bytes]] = {
    Part.PATH: url.path,
    Part.PATHQ: _pathq,
    Part.URI: lambda target: target,
}


def normalize_uri(action: NormalizeUri) -> Run:
    """A broken percent-encoding is answered with 400 where the normalizer is strict."""
    change = NORMALIZERS[action.normalizer]

    def edit(subject: Subject) -> Refuse | None:
        request = subject.request
        if request is None:
            return None
        try:
            target = change(request.target)
        except WireError as error:
            return Refuse(error.status)
        if target != request.target:
            subject.edit_request().set_uri(target)
        return None

    return edit


def set_status(action: SetStatus) -> Edit:
    status, reason = action.status, action.reason
    return lambda subject: subject.edit_response().set_status(status, reason)
