from __future__ import annotations

import pytest

from common import model
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.fetches_servers import proxy_id, server_id
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, proxy, sample, server

TIMEOUTS = model.Timeouts(connect=5.0, queue=0.25, server=50.0, tarpit=10.0, client=7.0)
APP = proxy(
    "app",
    backend=True,
    id=3,
    retries=4,
    timeouts=TIMEOUTS,
    servers=[server("s1", id=0, weight=5, maxconn=10, maxqueue=4), server("s2", id=1, maxconn=20, maxqueue=6), server("b", backup=True)],
)
FRONT = proxy("www", frontend=True, id=1, default_backend="app", timeouts=TIMEOUTS)


def serving(*up: str) -> FakeExchange:
    exchange = facts(backend=APP, server=APP.servers[0], retries_max=2, backend_queue_position=3, server_queue_position=1)
    exchange.with_session(frontend=FRONT)
    world = exchange.fake_world
    world.proxies.update(app=APP, www=FRONT)
    world.up.update(("app", name) for name in up or ("s1", "s2", "b"))
    world.counts.update({
        ("fe_conn", "www"): 9, ("fe_req_rate", "www"): 8, ("fe_sess_rate", "www"): 7, ("be_conn", "app"): 6, ("be_sess_rate", "app"): 5,
        ("queue", "app"): 4, ("srv_conn", "app", "s1"): 3, ("srv_conn", "app", "s2"): 30, ("srv_queue", "app", "s1"): 1,
        ("srv_sess_rate", "app", "s1"): 2, ("weight", "app", "s1"): 40, ("uweight", "app", "s1"): 50,
    })  # fmt: skip
    world.connections = 33
    exchange.timeouts.update(client=7.5, server=1.5)
    return exchange


@pytest.mark.parametrize(
    "text, result",
    [
        ("act_conn", 33),
        ("fe_conn", 9),
        ("fe_conn(www)", 9),
        ("fe_req_rate", 8),
        ("fe_sess_rate(www)", 7),
        ("be_conn(app)", 6),
        ("be_conn", 6),
        ("be_sess_rate(app)", 5),
        ("queue(app)", 4),
        ("nbsrv(app)", 3),
        ("avg_queue(app)", 2),  # 4 over 3, rounded up
        ("be_conn_free(app)", 7),  # s2 holds more than its maxconn
        ("connslots(app)", 7 + 3 + 6),
        ("srv_conn(app/s1)", 3),
        ("srv_conn_free(app/s1)", 7),
        ("srv_conn_free(app/s2)", 0),
        ("srv_conn_free(app/b)", -1),
        ("srv_conn_free(app/none)", None),
        ("srv_is_up(app/s1)", True),
        ("srv_is_up(s2)", True),
        ("srv_queue(app/s1)", 1),
        ("srv_sess_rate(app/s1)", 2),
        ("srv_iweight(app/s1)", 5),
        ("srv_weight(app/s1)", 40),
        ("srv_uweight(app/s1)", 50),
        ("fe_name", b"www"),
        ("fe_id", 1),
        ("fe_defbe", b"app"),
        ("fe_client_timeout", 7000),
        ("fe_tarpit_timeout", 10000),
        ("cur_client_timeout", 7500),
    ],
)
def test_counts_and_names(text: str, result: object) -> None:
    assert sample(text, serving()) == result


@pytest.mark.parametrize(
    "text, result",
    [
        ("be_name", b"app"),
        ("be_id", 3),
        ("srv_name", b"s1"),
        ("srv_id", 0),
        ("be_connect_timeout", 5000),
        ("be_queue_timeout", 250),
        ("be_server_timeout", 50000),
        ("be_tarpit_timeout", 10000),
        ("be_tunnel_timeout", None),
        ("cur_server_timeout", 1500),
        ("cur_connect_timeout", None),
        ("be_max_retries", 4),
        ("cur_max_retries", 2),
        ("bc_be_queue", 3),
        ("bc_srv_queue", 1),
    ],
)
def test_what_is_known_at_the_end(text: str, result: object) -> None:
    assert sample(text, serving(), Where.LOG) == result


@pytest.mark.parametrize(
    "text", ["be_conn", "fe_conn", "be_name", "be_id", "srv_name", "srv_id", "fe_name", "fe_id", "be_max_retries", "fe_defbe"]
)
def test_without_anything(text: str) -> None:
    assert sample(text, facts(), Where.LOG) is None


def test_a_rule_of_a_backend_means_its_own_until_one_is_chosen() -> None:
    exchange = facts()
    exchange.fake_world.counts["be_conn", "app"] = 6
    assert sample("be_conn", exchange, proxy=APP) == 6
    assert sample("be_name", exchange, proxy=APP) == b"app"
    assert sample("be_id", exchange, proxy=APP) == 3


@pytest.mark.parametrize("up, queued, average", [((), 4, 8), (("s1", "s2"), 4, 2), (("s1",), 4, 4)])
def test_average_queue(up: tuple[str, ...], queued: int, average: int) -> None:
    exchange = serving("nobody")
    exchange.fake_world.up = {("app", name) for name in up}
    assert sample("avg_queue(app)", exchange) == average


@pytest.mark.parametrize("text", ["be_conn_free(app)", "connslots(app)"])
def test_backups_count_only_when_no_other_is_up(text: str) -> None:
    assert sample(text, serving("b")) == -1  # no maxconn on it: no limit
    assert sample(text, serving("s2", "b")) != -1
    assert sample(text, serving("nobody")) == 0


def test_names_are_checked_against_the_configuration() -> None:
    config = model.Config()
    config.proxies.extend([APP, FRONT])
    for text in ("be_conn(app)", "fe_conn(www)", "srv_is_up(app/s1)"):
        compile_expression(text, environment(config=config))
    for text in ("be_conn(none)", "be_conn(www)", "fe_conn(app)", "srv_is_up(app/none)", "srv_is_up(none/s1)"):
        with pytest.raises(ExpressionError):
            compile_expression(text, environment(config=config))
    with pytest.raises(ExpressionError, match="no servers"):
        compile_expression("srv_is_up(s1)", environment(proxy=FRONT))


def test_ids_that_are_configured() -> None:
    assert (proxy_id(proxy(id=4)), server_id(server(id=4))) == (4, 4)
