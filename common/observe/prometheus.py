"""Statistics for Prometheus, through prometheus-client. Sans-io.

The library gives the text format; names, labels and values are HAProxy's (metrics.py), so dashboards made for it work. A value that an
object does not have is left out, where HAProxy sends NaN, which poisons sums.

Families come one by one, each over all objects: who sends them can give way to others in between. The library is an optional
dependency and is imported on first use.

Source: Prometheus text exposition format 0.0.4; HAProxy's exporter: scopes and `no-maint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from common.observe import metrics
from common.observe.columns import BY_NAME
from common.observe.reasons import SLUGS
from common.observe.stat_formats import Item
from common.observe.states import CHECK_STATUSES, MAINT
from common.observe.stats import Row

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
SCOPES: Final = frozenset(("global", "frontend", "listener", "backend", "server", "sticktable"))
CHECK_STATES: Final = tuple(status.name for status in CHECK_STATUSES if status.name not in ("UNK", "INI"))

_VALUE = rb'"(?:[^"\\\n]|\\.)*"'
_CODE_FIRST = re.compile(rb'\{(code="\w+"),((?:\w+=' + _VALUE + rb",?)+)\}")
_LISTENER_FIRST = re.compile(rb"\{(listener=" + _VALUE + rb"),(proxy=" + _VALUE + rb")")
_WHOLE = re.compile(rb"\.0$", re.MULTILINE)
_LABELS: Final = {"F": ("proxy",), "L": ("proxy", "listener"), "B": ("proxy",), "S": ("proxy", "server")}
_SIDES: Final = (
    ("frontend", "F", metrics.FRONTEND),
    ("listener", "L", metrics.LISTENER),
    ("backend", "B", metrics.BACKEND),
    ("server", "S", metrics.SERVER),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What a scrape asked for: /metrics?scope=frontend&scope=server&no-maint"""

    scopes: frozenset[str] = SCOPES
    no_maintenance: bool = False


def parse_query(query: str) -> Query | None:
    """None for a scope that does not exist: the answer is 400 then."""
    scopes: frozenset[str] = SCOPES
    named = False
    no_maintenance = False
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "no-maint":
            no_maintenance = True
        elif key == "scope":
            if value == "*":
                scopes, named = SCOPES, True
            elif value == "":
                scopes, named = frozenset(), True
            elif value in SCOPES:
                scopes, named = (scopes if named else frozenset()) | {value}, True
            else:
                return None
    return Query(scopes, no_maintenance)


def exposition(families: Iterable[Family]) -> Iterator[bytes]:
    """The text of one family after the other."""
    from prometheus_client.exposition import generate_latest

    for family in families:
        yield _as_haproxy(generate_latest(_Only(family)))


def _as_haproxy(text: bytes) -> bytes:
    """The same with labels in HAProxy's order and whole numbers without a fraction: some look at lines, not at what they mean."""
    return _WHOLE.sub(b"", _CODE_FIRST.sub(rb"{\2,\1}", _LISTENER_FIRST.sub(rb"{\2,\1", text)))


def families(
    rows: Sequence[Row],
    info: Sequence[Item],
    query: Query,
    reasons: Sequence[tuple[str, Sequence[int]]] = (),
    tables: Sequence[tuple[str, str, int, int]] = (),
) -> Iterator[Family]:
    """All families that a query wants. reasons: (proxy, counts by slug); tables: (name, type of the key, size, used)."""
    if "global" in query.scopes:
        yield from _process(info)
        yield from _reasons(reasons)
    for scope, side, names in _SIDES:
        if scope in query.scopes:
            chosen = [row for row in rows if row.side == side and not (query.no_maintenance and _in_maintenance(row))]
            yield from _side(f"haproxy_{scope}_", side, names, chosen)
    if "sticktable" in query.scopes and tables:
        yield from _tables(tables)


class _Only:
    """A registry with one family in it, as the library wants one."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> list[Family]:
        return [self._family]


def _process(info: Sequence[Item]) -> Iterator[Family]:
    found = {item.name: item for item in info}
    for metric in metrics.PROCESS:
        item = found.get(metric.source)
        if item is not None:
            yield _family("haproxy_process_", metric, item.description, (), [((), float(item.value))])
    version = str(found["Version"].value)
    yield _gauge("haproxy_process_build_info", "Version of the program", ("version",), [((version,), 1)])


def _side(prefix: str, side: str, names: tuple[metrics.Metric, ...], rows: Sequence[Row]) -> Iterator[Family]:
    """The families of one kind of object; none where there is no such object."""
    if not rows:
        return
    labels = _LABELS[side]
    own = [(row, _own_labels(row)) for row in rows]
    for metric in names:
        source = metric.source
        samples = [
            (values, row.values[source] * metric.scale)  # type: ignore[operator]
            for row, values in own
            if source in row.values and not (metric.http and row.values["mode"] != "http")
        ]
        if samples:
            yield _family(prefix, metric, BY_NAME[source].description, labels, samples)
    yield from _states(prefix, side, labels, own)
    yield from _responses(prefix, labels, own)


def _responses(prefix: str, labels: tuple[str, ...], own: list[tuple[Row, tuple[str, ...]]]) -> Iterator[Family]:
    samples = [
        ((*values, code), float(row.values[column]))
        for row, values in own
        for code, column in metrics.RESPONSE_CODES.items()
        if column in row.values
    ]
    if samples:
        metric = metrics.Metric("http_responses", "", True)
        yield _family(prefix, metric, "HTTP responses, by class of status", (*labels, "code"), samples)


def _states(prefix: str, side: str, labels: tuple[str, ...], own: list[tuple[Row, tuple[str, ...]]]) -> Iterator[Family]:
    """State sets: one sample per state, 1 for the one that holds."""
    names: Sequence[str]
    state_of: Callable[[str], str]
    if side == "S":
        names, state_of = metrics.SERVER_STATES, metrics.server_state
    elif side == "L":
        names, state_of = metrics.LISTENER_STATES, str
    else:
        names, state_of = metrics.PROXY_STATES, lambda status: "UP" if status in ("UP", "OPEN", "FULL") else "DOWN"
    samples = [
        ((*values, name), float(state_of(str(row.values["status"])) == name))
        for row, values in own
        for name in names
    ]  # fmt: skip
    yield _gauge(prefix + "status", "State of the service: 1 for the one that holds", (*labels, "state"), samples)
    if side == "S":
        yield from _check_states(prefix, labels, own)


def _check_states(prefix: str, labels: tuple[str, ...], own: list[tuple[Row, tuple[str, ...]]]) -> Iterator[Family]:
    checked = [(row, values) for row, values in own if "check_status" in row.values]
    samples = [
        ((*values, name), float(str(row.values["check_status"]).removeprefix("* ") == name))
        for row, values in checked
        for name in CHECK_STATES
    ]
    if samples:
        yield _gauge(prefix + "check_status", "How the last check ended: 1 for the one that holds", (*labels, "state"), samples)
    yield from _aggregated(own)


def _aggregated(own: list[tuple[Row, tuple[str, ...]]]) -> Iterator[Family]:
    """Per backend, how many servers are in each state, and how many last checks ended in each way."""
    proxies: dict[str, list[Row]] = {}
    for row, values in own:
        proxies.setdefault(values[0], []).append(row)
    counts = [
        ((proxy, name), float(sum(metrics.server_state(str(row.values["status"])) == name for row in rows)))
        for proxy, rows in proxies.items()
        for name in metrics.SERVER_STATES
    ]
    for name, text in (("agg_server_status", "Servers in each state"), ("agg_server_check_status", "The same under its older name")):
        yield _gauge("haproxy_backend_" + name, text, ("proxy", "state"), counts)
    checks = [
        ((proxy, name), float(sum(str(row.values.get("check_status", "")).removeprefix("* ") == name for row in rows)))
        for proxy, rows in proxies.items()
        for name in CHECK_STATES
    ]
    yield _gauge("haproxy_backend_agg_check_status", "Servers by how their last check ended", ("proxy", "state"), checks)


def _reasons(reasons: Sequence[tuple[str, Sequence[int]]]) -> Iterator[Family]:
    samples = [((proxy, slug), float(count)) for proxy, counts in reasons for slug, count in zip(SLUGS, counts, strict=False) if count]
    if samples:
        metric = metrics.Metric("reasons", "", True)
        yield _family("usher_", metric, "Early ends and answers of our own, by reason", ("proxy", "reason"), samples)


def _tables(tables: Sequence[tuple[str, str, int, int]]) -> Iterator[Family]:
    sizes = [((name, kind), float(size)) for name, kind, size, _used in tables]
    used = [((name, kind), float(used)) for name, kind, _size, used in tables]
    yield _gauge("haproxy_sticktable_size", "Entries that the table can hold", ("name", "type"), sizes)
    yield _gauge("haproxy_sticktable_used", "Entries in the table", ("name", "type"), used)


_Samples = Sequence[tuple[tuple[str, ...], float]]


def _family(prefix: str, metric: metrics.Metric, text: str, labels: tuple[str, ...], samples: _Samples) -> Family:
    if not metric.counter:
        return _gauge(prefix + metric.name, text, labels, samples)
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(prefix + metric.name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: _Samples) -> Family:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _own_labels(row: Row) -> tuple[str, ...]:
    proxy, name = str(row.values["pxname"]), str(row.values["svname"])
    return (proxy,) if row.side in "FB" else (proxy, name)


def _in_maintenance(row: Row) -> bool:
    return row.state is not None and bool(row.state.admin & MAINT)
