"""Actions on variables, addresses, timeouts, logs, maps and tables, as functions over an exchange. Sans-io.

Source: HAProxy manual 4.2 "http-request set-var", "set-src", "set-timeout", "set-map", "track-sc0", "capture" and their like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.acl.casts import wrapper
from common.acl.environment import CompileEnvironment
from common.acl.expressions import Expression
from common.acl.list_commands import shared_change
from common.acl.logformat import Format
from common.acl.types import SampleType, Typed
from common.rules.actions import (
    Capture,
    ChangeCounter,
    ChangeList,
    SetAddress,
    SetPort,
    SetPriority,
    SetRetries,
    SetSocketOption,
    SetTimeout,
    SetVariable,
    Side,
    Track,
)
from worker.route.subject import Subject

Effect = Callable[[Subject], None]

CLASS_MAX = 2047
OFFSET_MAX_MS = 524287
PORT_MAX = 65535
ANY_IPV4 = b"\0\0\0\0"


def set_variable(action: SetVariable) -> Effect:
    value, assign = action.value, action.assign
    if isinstance(value, Format):
        build = value.build

        def set_text(subject: Subject) -> None:
            assign(subject, Typed(SampleType.STR, build(subject)))

        return set_text
    get = value.get
    if value.type is SampleType.ANY:

        def copy(subject: Subject) -> None:
            found = get(subject)
            if found is not None:
                assign(subject, found)

        return copy
    wrap = wrapper(value.type)

    def set_sample(subject: Subject) -> None:
        found = get(subject)
        if found is not None:
            assign(subject, wrap(found))

    return set_sample


def set_address(action: SetAddress) -> Effect:
    """The port stays where the family has ports; an address that is none changes nothing."""
    get = action.address.to(SampleType.ADDR)
    if action.side is Side.SOURCE:

        def set_source(subject: Subject) -> None:
            address = get(subject)
            if address:
                subject.set_source(address, subject.src_port)

        return set_source

    def set_destination(subject: Subject) -> None:
        address = get(subject)
        if address:
            subject.set_destination(address, subject.dst_port)

    return set_destination


def set_port(action: SetPort) -> Effect:
    """The address stays where its family has ports, else it becomes 0.0.0.0."""
    get = action.port.to(SampleType.INT)
    if action.side is Side.SOURCE:

        def set_source(subject: Subject) -> None:
            port = get(subject)
            if port is not None:
                subject.set_source(subject.src or ANY_IPV4, port & PORT_MAX)

        return set_source

    def set_destination(subject: Subject) -> None:
        port = get(subject)
        if port is not None:
            subject.set_destination(subject.dst or ANY_IPV4, port & PORT_MAX)

    return set_destination


def set_socket_option(action: SetSocketOption) -> Effect:
    option, to_server = action.option, action.to_server
    get = number_of(action.value)

    def apply(subject: Subject) -> None:
        value = get(subject)
        if value is not None:
            subject.set_socket_option(option, value, to_server=to_server)

    return apply


def set_priority(action: SetPriority) -> Effect:
    get = action.value.to(SampleType.INT)
    if action.kind == "class":

        def set_class(subject: Subject) -> None:
            value = get(subject)
            if value is not None:
                subject.priority_class = max(-CLASS_MAX, min(CLASS_MAX, value))

        return set_class

    def set_offset(subject: Subject) -> None:
        value = get(subject)
        if value is not None:
            subject.priority_offset = max(-OFFSET_MAX_MS, min(OFFSET_MAX_MS, value))

    return set_offset


def set_timeout(action: SetTimeout) -> Effect:
    name, seconds = action.name, action.seconds
    if action.expression is None:
        return lambda subject: subject.set_timeout(name, seconds)
    get = action.expression.to(SampleType.INT)

    def set_from_expression(subject: Subject) -> None:
        value_ms = get(subject)
        if value_ms is not None and value_ms > 0:
            subject.set_timeout(name, value_ms / 1000)

    return set_from_expression


def set_retries(action: SetRetries) -> Effect:
    get = number_of(action.value)

    def apply(subject: Subject) -> None:
        value = get(subject)
        if value is not None:
            subject.retries_max = max(0, value)

    return apply


def number_of(value: int | Expression) -> Callable[[Subject], int | None]:
    if isinstance(value, Expression):
        get: Callable[[Any], int | None] = value.to(SampleType.INT)
        return get
    return lambda subject: value


def change_list(action: ChangeList, environment: CompileEnvironment) -> Effect:
    """The list is looked up each time: a section further down may be the one that loads its file. Without one nothing happens."""
    maps, file, wants_map = environment.maps, action.file, action.kind.endswith("map")
    key_of = action.key.build
    value_of = action.value.build if action.value is not None else None
    deletes = action.kind.startswith("del-")

    def apply(subject: Subject) -> None:
        patterns = maps.named(file)
        if patterns is None or patterns.is_map is not wants_map:
            return
        key = key_of(subject)
        value = None if deletes else value_of(subject) if value_of is not None else b""
        if patterns.put(key, value) and maps.tell is not None:
            maps.tell(shared_change(wants_map, file, key, value))

    return apply


def track(action: Track, environment: CompileEnvironment) -> Effect:
    """The first track of a number holds; without a key nothing is tracked."""
    name = action.table or (environment.proxy.name if environment.proxy is not None else "")
    index, get, kind = action.index, action.key.get, action.key.type

    def follow(subject: Subject) -> None:
        if subject.tracked(index) is not None:
            return
        value = get(subject)
        if value is None:
            return
        table = subject.world.stick_table(name)
        if table is None:
            return
        subject.track(index, table, wrap(value))

    wrap = wrapper(kind)
    return follow


def change_counter(action: ChangeCounter) -> Effect:
    data, index, tracked = action.data, action.index, action.tracked
    get = number_of(action.value)
    if action.operation == "add":

        def add(subject: Subject) -> None:
            entry = subject.tracked(tracked)
            by = get(subject)
            if entry is not None and by is not None:
                entry.increase(data, index, by)

        return add

    def assign(subject: Subject) -> None:
        entry = subject.tracked(tracked)
        value = get(subject)
        if entry is not None and value is not None:
            entry.set(data, value, index)

    return assign


def capture(action: Capture, response: bool) -> Effect:
    """A slot that the exchange's frontend has not is passed over."""
    get, number = action.expression.text_getter, action.slot

    def keep(subject: Subject) -> None:
        slots = subject.capture_lengths(response)
        if number >= len(slots):
            return
        value = get(subject)
        if value is None:
            return
        captured = subject.response_captures if response else subject.request_captures
        captured[number] = value[: slots[number]]

    return keep
