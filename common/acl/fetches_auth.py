"""Fetches of the Authorization field. Sans-io. Source: HAProxy configuration manual 7.3.6, 3.4; RFC 7617; RFC 6750."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.passwords import Userlist, check_supported
from common.acl.table import EachGetter, FetchTable, Getter
from common.acl.types import SampleType

TABLE = FetchTable()

_HTTP = "7.3.6"


def authorization(facts: Facts, name: bytes = b"authorization") -> tuple[bytes, bytes] | None:
    """(scheme, the rest) of the field; None without it."""
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    values = request.values(name)
    if not values:
        return None
    scheme, _, rest = values[0].partition(b" ")
    return scheme, rest.strip(b" \t")


def basic_credentials(facts: Facts) -> tuple[bytes, bytes] | None:
    """(user, password) of Basic authentication; None without it, or if it does not decode."""
    found = authorization(facts)
    if found is None or found[0].lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(found[1], validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def _userlist(environment: CompileEnvironment, name: str) -> Userlist:
    """One living list per configuration, so that its rules share the verdicts."""
    known = environment.userlists.get(name)
    if known is None:
        users = environment.config.userlists.get(name, []) if environment.config is not None else []
        for user in users:
            check_supported(user)
        known = environment.userlists[name] = Userlist(users)
    return known


@TABLE.row(
    "http_auth", SampleType.BOOL, Needs.REQUEST, _HTTP, "The request's Basic credentials are those of a user of that list.",
    arguments="userlist:userlist",
)  # fmt: skip
def make_auth(environment: CompileEnvironment, name: str) -> Getter:
    users = _userlist(environment, name)

    def get(facts: Facts) -> bool | None:
        if facts.request is None:
            facts.undecided = True
            return None
        found = basic_credentials(facts)
        return None if found is None else users.accepts(*found)

    return get


def _make_group_each(environment: CompileEnvironment, name: str) -> EachGetter:
    users = _userlist(environment, name)

    def each(facts: Facts) -> tuple[bytes, ...]:
        found = basic_credentials(facts)
        return users.groups(found[0]) if found is not None and users.accepts(*found) else ()

    return each


@TABLE.row(
    "http_auth_group", SampleType.STR, Needs.REQUEST, _HTTP,
    "The user's name, if the Basic credentials are right. In an ACL the user's groups are what is matched.",
    arguments="userlist:userlist", each=_make_group_each,
)  # fmt: skip
def make_auth_group(environment: CompileEnvironment, name: str) -> Getter:
    users = _userlist(environment, name)

    def get(facts: Facts) -> bytes | None:
        found = basic_credentials(facts)
        return found[0] if found is not None and users.accepts(*found) else None

    return get


@TABLE.row(
    "http_auth_bearer", SampleType.STR, Needs.REQUEST, _HTTP, "The token of Bearer authentication, from Authorization or <header>.",
    arguments="header:string", required=0,
)  # fmt: skip
def make_bearer(environment: CompileEnvironment, header: bytes | None) -> Getter:
    name = (header or b"authorization").lower()

    def get(facts: Facts) -> bytes | None:
        found = authorization(facts, name)
        return found[1] if found is not None and found[0].lower() == b"bearer" else None

    return get


def _part(read: Callable[[tuple[bytes, bytes]], bytes]) -> Getter:
    def get(facts: Facts) -> bytes | None:
        found = basic_credentials(facts)
        return None if found is None else read(found)

    return get


TABLE.plain("http_auth_user", SampleType.STR, Needs.REQUEST, _HTTP, "The user name of Basic authentication, not verified.")(
    _part(lambda found: found[0])
)
TABLE.plain("http_auth_pass", SampleType.STR, Needs.REQUEST, _HTTP, "The password of Basic authentication, not verified.")(
    _part(lambda found: found[1])
)


@TABLE.plain("http_auth_type", SampleType.STR, Needs.REQUEST, _HTTP, "The authentication scheme: Basic or Bearer.")
def auth_type(facts: Facts) -> bytes | None:
    found = authorization(facts)
    if found is None or (found[0].lower() == b"basic" and basic_credentials(facts) is None):
        return None
    return found[0] if found[0].lower() in (b"basic", b"bearer") else None
