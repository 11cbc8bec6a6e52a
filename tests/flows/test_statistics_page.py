"""The statistics page and the metrics over HTTP: what HAProxy answers, we answer; what is ours is looked at in a browser."""

from __future__ import annotations

import base64
import csv
import http.client
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import want
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, Program

ours = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own page")


def configuration(program: str) -> str:
    # One worker: what a rule sees of the page's own requests is then the same as in HAProxy.
    return defaults(global_lines="workers 1" if program == "usher" else "", default_lines="timeout server 300ms") + """
frontend front
    bind <listen:web>
    http-request deny if { path /denied }
    http-request use-service prometheus-exporter if { path /metrics }
    stats uri /st
    stats refresh 7s
    stats show-legends
    stats show-node the-node
    stats admin if { hdr(x-admin) yes }
    http-after-response set-header x-after yes
    default_backend farm
frontend guarded
    bind <listen:guarded>
    stats auth bob:se:cret
    stats realm The\\ Realm
    stats scope .
    stats hide-version
    redirect location /r if { path_beg /haproxy }
    default_backend farm
frontend ruled
    bind <listen:ruled>
    stats uri /s3
    stats http-request deny if { hdr(x) deny }
    stats http-request auth realm X unless { hdr(a) b }
    stats http-request allow
    default_backend farm
backend farm
    balance roundrobin
    server up1 <server:up1>
    server up2 <server:up2> disabled
"""


class Page:
    """One answer."""

    def __init__(self, flow: Flow, path: str, at: str = "web", *, method: str = "GET", body: bytes | None = None, **fields: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", flow.port(at), timeout=10)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        self.status = answer.status
        self.fields = {name.lower(): value for name, value in answer.getheaders()}
        self.text = answer.read().decode()
        connection.close()


def order(flow: Flow, path: str = "/st", form: Mapping[str, object] | None = None, *, body: bytes | None = None, **fields: object) -> str:
    """Where a form sends its user."""
    form = {**(form or {}), **fields}
    page = Page(flow, path, method="POST", body=urlencode(form, doseq=True).encode() if body is None else body, x_admin="yes")
    assert page.status == 303
    assert page.fields["content-length"] == "0"
    return page.fields["location"]


def rows(flow: Flow, path: str = "/st;csv", at: str = "web", **fields: str) -> list[dict[str, str]]:
    text = Page(flow, path, at, body=None, **fields).text
    assert text.startswith("# pxname,svname,")
    return list(csv.DictReader(text.removeprefix("# ").splitlines()))


def status_of(flow: Flow, server: str) -> str:
    return next(row["status"] for row in rows(flow) if row["svname"] == server)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/st", "text/html"), ("/st;csv", "text/plain"), ("/st;typed", "text/plain"), ("/st;json", "application/json")],
)
def test_each_form_has_its_type_and_is_told_when_to_come_again(module_flow: Flow, path: str, kind: str) -> None:
    page = Page(module_flow, path)
    assert page.status == 200
    assert page.fields["content-type"].partition(";")[0] == kind
    assert page.fields["refresh"] == "7"
    assert page.fields["cache-control"] == "no-cache"
    assert page.fields["transfer-encoding"] == "chunked"
    assert page.fields["x-after"] == "yes"
    assert "refresh" not in Page(module_flow, path + ";norefresh").fields


def test_a_csv_reader_reads_the_rows(module_flow: Flow) -> None:
    found = {(row["pxname"], row["svname"]): row["status"] for row in rows(module_flow)}
    assert found["front", "FRONTEND"] == "OPEN"
    assert found["farm", "up1"] == "no check"
    assert found["farm", "up2"] == "MAINT"


def test_a_json_reader_reads_the_objects(module_flow: Flow) -> None:
    objects = json.loads(Page(module_flow, "/st;json").text)
    names = {item["value"]["value"] for row in objects for item in row if item["field"]["name"] == "svname"}
    assert names >= {"FRONTEND", "up1", "BACKEND"}
    assert json.loads(Page(module_flow, "/st;json-schema").text)["definitions"]


@pytest.mark.parametrize("path", ["/stuff", "/st?x=1", "/st;nonsense", "http://a.b/st"])
def test_whatever_begins_with_the_address_is_the_page(module_flow: Flow, path: str) -> None:
    page = Page(module_flow, path)
    assert (page.status, page.fields["content-type"].partition(";")[0]) == (200, "text/html")


@pytest.mark.parametrize(("options", "servers"), [(";up", ["up1"]), (";no-maint", ["up1"]), ("", ["up1", "up2"])])
def test_options_choose_servers(module_flow: Flow, options: str, servers: list[str]) -> None:
    assert [row["svname"] for row in rows(module_flow, f"/st;csv{options}") if row["type"] == "2"] == servers


def test_a_scope_chooses_proxies_by_part_of_their_names(module_flow: Flow) -> None:
    assert {row["pxname"] for row in rows(module_flow, "/st?scope=ar;csv")} == {"farm", "guarded"}
    assert {row["pxname"] for row in rows(module_flow, "/st?scope=nobody;csv")} == set()


def test_a_head_request_gets_the_head(module_flow: Flow) -> None:
    page = Page(module_flow, "/st", method="HEAD")
    assert (page.status, page.text) == (200, "")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_other_methods_go_on_to_the_servers(module_flow: Flow, method: str) -> None:
    assert Page(module_flow, "/st", method=method).status in (502, 503, 504)


def test_an_old_client_gets_a_body_that_ends_with_the_connection(module_flow: Flow) -> None:
    client = module_flow.connect("web")
    client.send(b"GET /st;csv HTTP/1.0\r\n\r\n")
    text = client.receive_to_end().decode()
    head, _, body = text.partition("\r\n\r\n")
    assert "connection: close" in head.lower()
    assert "# pxname" in body


def test_the_connection_goes_on_after_the_page(module_flow: Flow) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", module_flow.port("web"), timeout=10)
    for path in ("/st;csv", "/denied", "/st"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (403 if path == "/denied" else 200, True)
    connection.close()


# --- who may see it ------------------------------------------------------------------------------------------------------


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


def test_a_login_is_asked_for_and_taken(module_flow: Flow) -> None:
    page = Page(module_flow, "/haproxy?stats", at="guarded")
    assert page.status == 401
    assert page.fields["www-authenticate"] == 'Basic realm="The Realm"'
    assert Page(module_flow, "/haproxy?stats", at="guarded", authorization=basic("bob:wrong")).status == 401
    found = rows(module_flow, "/haproxy?stats;csv", at="guarded", authorization=basic("bob:se:cret"))
    assert {row["pxname"] for row in found} == {"guarded"}


def test_redirects_come_after_the_page(module_flow: Flow) -> None:
    assert Page(module_flow, "/haproxy?stat", at="guarded").status == 302


def test_the_pages_own_rules_decide(module_flow: Flow) -> None:
    assert Page(module_flow, "/s3", at="ruled").fields["www-authenticate"] == 'Basic realm="X"'
    assert Page(module_flow, "/s3", at="ruled", a="b").status == 200
    assert Page(module_flow, "/s3", at="ruled", a="b", x="deny").status == 403


def test_the_log_says_who_answered(module_flow: Flow) -> None:
    Page(module_flow, "/st;csv;for-the-log")
    line = module_flow.log.expect("for-the-log").text
    assert re.search(r" front front/<STATS> 0/0/0/\d+/\d+ 200 \d+ - - LR-- ", line), line
    Page(module_flow, "/metrics?for-the-log")
    line = module_flow.log.expect("metrics.for-the-log").text
    assert re.search(r" front front/<PROMEX> 0/0/0/\d+/\d+ 200 \d+ - - LR-- ", line), line


# --- orders --------------------------------------------------------------------------------------------------------------


def test_a_form_changes_a_server_and_says_so(module_flow: Flow) -> None:
    assert order(module_flow, s="up2", action="ready", b="farm") == "/st;st=DONE"
    assert status_of(module_flow, "up2") == "no check"
    assert order(module_flow, s=["up1", "up2"], action="drain", b="farm") == "/st;st=DONE"
    assert [status_of(module_flow, name) for name in ("up1", "up2")] == ["DRAIN", "DRAIN"]
    assert order(module_flow, s="up1", action="ready", b="farm") == "/st;st=DONE"
    assert order(module_flow, s="up2", action="maint", b="farm") == "/st;st=DONE"
    assert [status_of(module_flow, name) for name in ("up1", "up2")] == ["no check", "MAINT"]


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        ({"s": "nobody", "action": "maint", "b": "farm"}, "ERRP"),
        ({"s": ["up2", "nobody"], "action": "maint", "b": "farm"}, "PART"),
        ({"s": "up2", "action": "bogus", "b": "farm"}, "ERRP"),
        ({"s": "up2", "action": "maint", "b": "nobody"}, "ERRP"),
        ({"s": "up2", "action": "maint", "b": "front"}, "ERRP"),
        ({"action": "maint", "b": "farm"}, "NONE"),
        ({"s": "up2", "b": "farm"}, "NONE"),
        ({"s": "up2", "action": "ehlth", "b": "farm"}, "NONE"),
        ({"s": "up2", "action": "dagent", "b": "farm"}, "NONE"),
        ({}, "NONE"),
    ],
)
def test_what_came_of_an_order_is_told(module_flow: Flow, form: dict[str, object], outcome: str) -> None:
    assert order(module_flow, form=form) == f"/st;st={outcome}"


def test_a_form_that_is_too_long_is_not_read(module_flow: Flow) -> None:
    assert order(module_flow, body=b"s=up2&action=maint&b=farm&x=" + b"x" * 20000) == "/st;st=EXCD"


def test_options_stay_through_an_order(module_flow: Flow) -> None:
    assert order(module_flow, "/st;up;norefresh", body=b"") == "/st;st=NONE;up;norefresh"
    assert order(module_flow, "/st?scope=farm;up", body=b"") == "/st;st=NONE;up?scope=farm"


def test_only_an_admin_gives_orders(module_flow: Flow) -> None:
    page = Page(module_flow, "/st", method="POST", body=b"s=up1&action=maint&b=farm")
    assert (page.status, page.fields["location"]) == (303, "/st;st=DENY")
    assert status_of(module_flow, "up1") == "no check"


# --- metrics -------------------------------------------------------------------------------------------------------------


def test_prometheus_reads_the_metrics(module_flow: Flow) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    page = Page(module_flow, "/metrics")
    assert page.fields["content-type"] == "text/plain; version=0.0.4"
    families = {family.name: family for family in parser.text_string_to_metric_families(page.text)}
    status = {
        (sample.labels["server"], sample.labels["state"]): sample.value for sample in families["haproxy_server_status"].samples
    }
    assert status["up1", "UP"] == 1
    assert status["up2", "MAINT"] == 1
    requests = families["haproxy_frontend_http_requests"].samples
    assert {sample.labels["proxy"] for sample in requests} == {"front", "guarded", "ruled"}


@pytest.mark.parametrize(
    ("query", "status", "prefixes"),
    [
        ("?scope=server", 200, {"haproxy_server", "haproxy_backend"}),
        ("?scope=frontend&scope=backend", 200, {"haproxy_frontend", "haproxy_backend"}),
        ("?scope=", 200, set()),
        ("?scope=bogus", 400, set()),
        ("?scope=global", 200, {"haproxy_process"}),
    ],
)
def test_scopes_choose_metrics(module_flow: Flow, query: str, status: int, prefixes: set[str]) -> None:
    page = Page(module_flow, f"/metrics{query}")
    assert page.status == status
    found = {"_".join(line.split("_")[:2]) for line in page.text.splitlines() if line.startswith("haproxy_")}
    assert found <= prefixes
    assert bool(found) is bool(prefixes)


def test_metrics_leave_out_what_is_in_maintenance(module_flow: Flow) -> None:
    assert 'server="up2"' in Page(module_flow, "/metrics?scope=server").text
    assert 'server="up2"' not in Page(module_flow, "/metrics?scope=server&no-maint").text


# --- our own page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_flow(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    if program is not USHER:
        pytest.skip("Usher's own page")
    text = configuration("usher").replace("stats admin if { hdr(x-admin) yes }", "stats admin if TRUE")
    text = text.replace("workers 1", "workers 2")
    with Flow(tmp_path_factory.mktemp("own"), (USHER, text)) as flow:
        yield flow


@ours
@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"origin": "http://evil.example"}, "/st;st=DENY"),
        ({"origin": "null"}, "/st;st=DENY"),
        ({"sec_fetch_site": "cross-site"}, "/st;st=DENY"),
        ({"sec_fetch_site": "same-origin"}, "/st;st=DONE"),
        ({}, "/st;st=DONE"),
    ],
)
def test_a_browser_that_another_site_drives_gives_no_orders(own_flow: Flow, fields: dict[str, str], location: str) -> None:
    page = Page(own_flow, "/st", method="POST", body=b"s=up1&action=ready&b=farm", **fields)
    assert page.fields["location"] == location


@ours
def test_a_wrong_token_is_refused(own_flow: Flow) -> None:
    assert order(own_flow, s="up1", action="ready", b="farm", token="0" * 64) == "/st;st=DENY"


@ours
def test_a_client_that_leaves_in_the_middle_harms_nobody(own_flow: Flow) -> None:
    for _ in range(20):
        client = own_flow.connect("web")
        client.send(b"GET /st HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        client.reset()
    assert Page(own_flow, "/st;csv").status == 200


BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


def browse(folder: Path, *arguments: str) -> str:
    """What the browser prints. Its profile is in `folder`."""
    program = want("chromium", "chromium")
    command = [program, *BROWSER[1:], f"--user-data-dir={folder}/profile", "--virtual-time-budget=2000", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@ours
def test_a_browser_shows_the_page_and_runs_its_script(own_flow: Flow, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{own_flow.port('web')}/st"
    text = browse(tmp_path, "--dump-dom", url)
    assert '<section data-name="farm"' in text
    assert "the-node" in text
    assert re.search(r'<button type="button" id="pause"[^>]*>Pause', text)
    for name, arguments in {
        "light": ("--window-size=1500,900",),
        "dark": ("--window-size=1500,900", "--force-dark-mode", "--enable-features=WebContentsForceDark:inversion_method/none"),
        "narrow": ("--window-size=420,900",),
    }.items():
        shot = tmp_path / f"{name}.png"
        browse(tmp_path, f"--screenshot={shot}", *arguments, url)
        assert shot.read_bytes().startswith(b"\x89PNG")
        assert shot.stat().st_size > 10_000


@ours
def test_a_browsers_form_reaches_the_master(own_flow: Flow, tmp_path: Path) -> None:
    """A page of another origin submits the form without its token and is refused; our own page's form is obeyed."""
    page = Page(own_flow, "/st").text
    token = re.search(r'name="token" value="([0-9a-f]{64})"', page)
    assert token
    assert order(own_flow, s="up1", action="maint", b="farm", token=token[1]) == "/st;st=DONE"
    eventually(lambda: status_of(own_flow, "up1") == "MAINT", "the server is in maintenance")
    port = own_flow.port("web")
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<form method="post" action="http://127.0.0.1:{port}/st"><input name="s" value="up1"><input name="b" value="farm">'
        '<input name="action" value="ready"></form><script>document.forms[0].submit()</script>'
    )
    browse(tmp_path, "--dump-dom", f"file://{evil}")
    assert status_of(own_flow, "up1") == "MAINT"
    assert order(own_flow, s="up1", action="ready", b="farm", token=token[1]) == "/st;st=DONE"
