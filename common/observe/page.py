"""The statistics page as HTML. Sans-io.

What is shown is what `show stat` says (common/observe/stats.py), in tables per proxy; names come from configurations and texts from
servers, so everything is escaped. Orders are sent by forms that carry a token: a page of another site cannot send them.

Source: HAProxy configuration manual 4.2 `stats …` (what can be shown and ordered); the design is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Final

from common.observe.info import uptime_text
from common.observe.page_assets import SCRIPT, STYLE
from common.observe.page_request import ACTIONS, OUTCOMES
from common.observe.stats import Row, Value

_HEADERS: Final = (
    *("Name", "Status", "Sessions/s", "Last 5 min", "Sessions", "Total", "Queue", "Requests", "In", "Out", "Responses", "Errors"),
    *("Retries", "Times q/c/r/t ms", "Check", "Weight", "Since", "TLS and splicing"),
)
_KINDS: Final = {"F": "Frontend", "L": "Listener", "S": "Server", "B": "Backend"}
_KINDS_OF_CELLS: Final = {0: ' class="text name"', 1: ' class="text"', 14: ' class="text"'}
_MODULES: Final = {"ssl_sess": "TLS", "ssl_reused_sess": "resumed", "ssl_failed_handshake": "failed"}
_MODULE_BYTES: Final = {"h1_spliced_bytes_in": "spliced in", "h1_spliced_bytes_out": "spliced out"}
_UNITS: Final = ("", "k", "M", "G", "T", "P")
_COLOURS: Final = {"hrsp_2xx": "#3fa86b", "hrsp_3xx": "#5b9bd5", "hrsp_4xx": "#e0a63b", "hrsp_5xx": "#d9534f", "hrsp_other": "#98a2b3"}


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is shown. facts: fields of `show info` by name. lines: points of sparklines by (side, proxy, object).

    refresh_s: 0 without. legends, modules: show more, of each object, of TLS and splicing. admin: whether orders may be given; token:
    what their forms carry. outcome: of an order just given.
    """

    uri: str
    rows: Iterable[Row]
    facts: Mapping[str, Value | float]
    title: str = ""
    description: str = ""
    version: str = ""
    refresh_s: int = 0
    admin: bool = False
    token: str = ""
    legends: bool = False
    modules: bool = False
    outcome: str = ""
    lines: Mapping[tuple[str, int, int], Sequence[int]] = field(default_factory=dict)


def render(page: Page) -> Iterator[bytes]:
    """The page in pieces: its head, each proxy, its end. Whoever sends it can give way to others in between."""
    yield _head(page).encode()
    for position, rows in groupby(page.rows, key=lambda row: row.position):
        yield _proxy(page, position, list(rows)).encode("utf-8", "replace")
    yield f"</main><script>{SCRIPT}</script></body></html>\n".encode()


def _head(page: Page) -> str:
    name = page.title or "Usher"
    reload = f'<noscript><meta http-equiv="refresh" content="{page.refresh_s}"></noscript>' if page.refresh_s else ""
    version = f"<small>Usher {escape(page.version)}</small>" if page.version else ""
    description = f"<small>{escape(page.description)}</small>" if page.description else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{reload}<title>Statistics of {escape(name)}</title><style>{STYLE}</style></head>"
        f'<body data-refresh="{page.refresh_s}"><header><h1>{escape(name)}{version}{description}</h1>{_facts(page)}'
        '<div class="tools"><input type="search" id="filter" placeholder="Filter" aria-label="Filter proxies and servers">'
        f'<button type="button" id="pause" aria-pressed="false">Pause</button></div></header><main>{_outcome(page)}'
    )


def _facts(page: Page) -> str:
    facts = page.facts
    shown = [("pid", str(facts.get("Pid", ""))), ("up", uptime_text(float(facts.get("Uptime_sec", 0))))]
    for label, name in (("connections", "CurrConns"), ("conn/s", "ConnRate"), ("sess/s", "SessRate"), ("TLS/s", "SslRate")):
        shown.append((label, _count(facts.get(name, 0))))
    shown += [
        ("limit", _count(facts.get("Maxconn", 0))),
        ("workers", str(facts.get("Nbproc", ""))),
        ("idle", f"{facts.get('Idle_pct', '')} %"),
    ]
    return '<div class="facts">' + "".join(f"<span>{label} <b>{escape(value)}</b></span>" for label, value in shown) + "</div>"


def _outcome(page: Page) -> str:
    if page.outcome not in OUTCOMES:
        return ""
    text, good = OUTCOMES[page.outcome]
    return f'<p class="note {"up" if good else "down"}" role="status">{escape(text)} <a href="{escape(page.uri)}">Go on</a></p>'


def _proxy(page: Page, position: int, rows: list[Row]) -> str:
    first = rows[0].values
    name = escape(str(first["pxname"]))
    mode = escape(str(first["mode"]))
    orders = page.admin and any(row.side == "S" for row in rows)
    table = _table(page, rows, orders)
    if orders:
        table = _form(page, rows, table)
    return f'<section data-name="{name}" id="proxy-{position}"><h2>{name}<small>{mode} #{rows[0].proxy_id}</small></h2>{table}</section>'


def _table(page: Page, rows: list[Row], orders: bool) -> str:
    """Columns that are empty in every row are left out: a tcp proxy has no responses, a frontend no checks."""
    cells = [_cells(page, row) for row in rows]
    shown = [place for place in range(len(_HEADERS)) if any(row[place] for row in cells)]
    tick = '<th scope="col"></th>' if orders else ""
    headers = "".join(f'<th scope="col"{_KINDS_OF_CELLS.get(place, "")}>{_HEADERS[place]}</th>' for place in shown)
    body = ""
    for row, texts in zip(rows, cells, strict=True):
        inside = "".join(f"<td{_KINDS_OF_CELLS.get(place, '')}>{texts[place]}</td>" for place in shown)
        body += f"<tr{' class=total' if row.side in 'FB' else ''}>{_tick(row) if orders else ''}{inside}</tr>"
    return f'<div class="scroll"><table><thead><tr>{tick}{headers}</tr></thead><tbody>{body}</tbody></table></div>'


def _tick(row: Row) -> str:
    server = escape(str(row.values["svname"]))
    return f'<td><input type="checkbox" name="s" value="{server}" aria-label="{server}"></td>' if row.side == "S" else "<td></td>"


def _form(page: Page, rows: list[Row], table: str) -> str:
    choices = "".join(f'<option value="{action}">{escape(text)}</option>' for action, text in ACTIONS.items())
    number = rows[0].proxy_id
    return (
        f'<form method="post" action="{escape(page.uri)}" data-backend="{number}">{table}<div class="orders">'
        f'<input type="hidden" name="token" value="{escape(page.token)}"><input type="hidden" name="b" value="#{number}">'
        f'<label>For the ticked servers: <select name="action"><option value=""></option>{choices}</select></label>'
        "<button>Apply</button></div></form>"
    )


def _cells(page: Page, row: Row) -> list[str]:
    """What stands under each of _HEADERS."""
    values = row.values
    return [
        _name(page, row),
        _state(row),
        _limits(values, "rate", "rate_max", "rate_lim"),
        _sparkline(page.lines.get((row.side, row.position, row.object_id), ())),
        _limits(values, "scur", "smax", "slim"),
        _count(values.get("stot", 0)),
        _limits(values, "qcur", "qmax", "qlimit"),
        _count(values["req_tot"]) if "req_tot" in values else "",
        _bytes(values.get("bin", 0)),
        _bytes(values.get("bout", 0)),
        _responses(values),
        _errors(values),
        _pair(values, "wretr", "wredis"),
        _times(values),
        _check(row),
        _weight(row),
        _since(values),
        _modules(values) if page.modules else "",
    ]


def _name(page: Page, row: Row) -> str:
    name = _KINDS[row.side] if row.side in "FB" else escape(str(row.values["svname"]))
    legend = row.values.get("addr") or row.values.get("algo") or ""
    shown = f" <small>{escape(str(legend))}</small>" if page.legends and legend else ""
    backup = " <small>backup</small>" if row.side == "S" and row.values.get("bck") else ""
    return name + backup + shown


def _state(row: Row) -> str:
    status = str(row.values["status"])
    kind = "up"
    if status.startswith("MAINT"):
        kind = "maint"
    elif status.startswith(("DOWN", "STOP")):
        kind = "warn" if "/" in status else "down"
    elif status.startswith(("NOLB", "DRAIN", "FULL", "PAUSED", "WAITING")) or "/" in status:
        kind = "warn"
    elif status == "no check":
        kind = "idle"
    return f'<span class="state {kind}">{escape(status)}</span>'


def _limits(values: Mapping[str, Value], current: str, most: str, limit: str) -> str:
    """7 <small>of 100, most 12</small>"""
    if current not in values:
        return ""
    notes = [f"most {_count(values[most])}"] if values.get(most) else []
    if values.get(limit):
        notes.insert(0, f"of {_count(values[limit])}")
    return _count(values[current]) + (f" <small>{', '.join(notes)}</small>" if notes else "")


def _sparkline(points: Sequence[int]) -> str:
    """The last minutes as a path; nothing where nothing happened."""
    if len(points) < 2 or not any(points):
        return ""
    highest, step = max(points), 100 / (len(points) - 1)
    path = " ".join(f"{'L' if place else 'M'}{place * step:.1f} {21 - 19 * point / highest:.1f}" for place, point in enumerate(points))
    return _drawing("spark", 22, f"{points[-1]}/s now, {highest}/s at most", f'<path d="{path}"/>')


def _responses(values: Mapping[str, Value]) -> str:
    """A bar of the classes of responses, with the numbers as its title."""
    counts = [(colour, column, int(values.get(column, 0))) for column, colour in _COLOURS.items()]
    total = sum(count for _colour, _column, count in counts)
    if not total:
        return ""
    title = ", ".join(f"{column[5:]}: {count}" for _colour, column, count in counts if count)
    position, parts = 0.0, ""
    for colour, _column, count in counts:
        width = 100 * count / total
        parts += f'<rect x="{position:.2f}" width="{width:.2f}" height="10" fill="{colour}"/>' if count else ""
        position += width
    return _drawing("bar", 10, title, parts)


def _drawing(kind: str, height: int, title: str, inside: str) -> str:
    """A small picture with its numbers as title. What differs stands in attributes of its parts: the policy allows no style."""
    return (
        f'<svg class="{kind}" width="90" height="{height}" viewBox="0 0 100 {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}"><title>{title}</title>{inside}</svg>'
    )


def _errors(values: Mapping[str, Value]) -> str:
    """What went wrong, and what was denied."""
    shown = []
    for label, column in (("request", "ereq"), ("connect", "econ"), ("response", "eresp"), ("denied", "dreq"), ("internal", "eint")):
        if values.get(column):
            shown.append(f"{label} <b{' class=bad' if label != 'denied' else ''}>{_count(values[column])}</b>")
    return " ".join(shown)


def _pair(values: Mapping[str, Value], first: str, second: str) -> str:
    return f"{_count(values[first])} / {_count(values[second])}" if values.get(first) or values.get(second) else ""


def _times(values: Mapping[str, Value]) -> str:
    if "ttime" not in values or not values.get("stot"):
        return ""
    return " / ".join(str(values[name]) for name in ("qtime", "ctime", "rtime", "ttime"))


def _check(row: Row) -> str:
    values = row.values
    if "check_status" not in values:
        return escape(str(values["tracked"])) if "tracked" in values else ""
    parts = [str(values["check_status"])]
    if "check_code" in values:
        parts.append(str(values["check_code"]))
    if "check_duration" in values:
        parts.append(f"in {values['check_duration']} ms")
    title = escape(f"{values.get('check_desc', '')} {values.get('last_chk', '')}".strip())
    return f'<span title="{title}">{escape(" ".join(parts))}</span>'


def _weight(row: Row) -> str:
    values = row.values
    if "weight" not in values:
        return ""
    if row.side == "B":
        return f"{values['weight']} <small>{values['act']} active, {values['bck']} backup</small>"
    weight, set_weight = values["weight"], values["uweight"]
    return str(weight) if weight == set_weight else f"{weight} <small>of {set_weight}</small>"


def _since(values: Mapping[str, Value]) -> str:
    if "lastchg" not in values:
        return ""
    down = f" <small>down {_duration(int(values['downtime']))}</small>" if values.get("downtime") else ""
    return _duration(int(values["lastchg"])) + down


def _modules(values: Mapping[str, Value]) -> str:
    """`stats show-modules`: what HAProxy's modules count, where it is not zero."""
    shown = [f"{label} {_count(values[column])}" for column, label in _MODULES.items() if values.get(column)]
    shown += [f"{label} {_bytes(values[column])}" for column, label in _MODULE_BYTES.items() if values.get(column)]
    return ", ".join(shown)


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _count(value: Value | float) -> str:
    """1234567 as 1,234,567"""
    return f"{int(value):,}"


def _bytes(value: Value) -> str:
    number, unit = float(value), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f}{_UNITS[unit]}" if unit == 0 or number >= 100 else f"{number:.1f}{_UNITS[unit]}"
