"""What a process gives up, read back from /proc."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from common.model import Global
from common.process import privileges
from common.process.privileges import Identity, PrivilegeError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


def after(wanted: Identity, before: str = "") -> dict[str, Any]:
    """What a child is after `drop`: its identity from /proc, or the error."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if before == "groups":
                os.setgroups([1, 2, 3])
            elif before == "nobody":
                os.setuid(NOBODY)
            privileges.drop(wanted)
            if wanted.chroot:
                found: dict[str, Any] = {"ls": os.listdir("/"), "cwd": os.getcwd()}
            else:
                status = Path("/proc/self/status").read_text()
                found = dict(re.findall(r"^(Uid|Gid|Groups|Cap\w+|NoNewPrivs):\s*(.*?)\s*$", status, re.MULTILINE))
        except PrivilegeError as error:
            found = {"error": str(error)}
        finally:
            os.write(write_end, json.dumps(found).encode())
            os._exit(0)
    os.close(write_end)
    os.waitpid(pid, 0)
    with open(read_end, "rb") as pipe:
        result: dict[str, Any] = json.load(pipe)
    return result


@ROOT_ONLY
def test_user_group_and_capabilities_are_dropped_and_no_new_ones_can_be_had() -> None:
    found = after(Identity(uid=NOBODY, gid=NOBODY), before="groups")
    assert found["Uid"].split() == [str(NOBODY)] * 4
    assert found["Gid"].split() == [str(NOBODY)] * 4
    assert found["Groups"] == str(NOBODY)
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert found["NoNewPrivs"] == "1"


@ROOT_ONLY
def test_capabilities_of_setcap_survive_the_change_of_user() -> None:
    kept = privileges.CAPABILITIES["cap_net_bind_service"]
    found = after(Identity(uid=NOBODY, kept=(kept,)))
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 1 << kept


@ROOT_ONLY
def test_root_is_changed_before_the_user(tmp_path: Path) -> None:
    (tmp_path / "inside").touch()
    tmp_path.chmod(0o755)
    assert after(Identity(uid=NOBODY, gid=NOBODY, chroot=str(tmp_path))) == {"ls": ["inside"], "cwd": "/"}


@ROOT_ONLY
def test_new_privileges_are_left_where_they_are_asked_for() -> None:
    assert after(Identity(new_privileges=True, dumpable=True))["NoNewPrivs"] == "0"


@ROOT_ONLY
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Identity(uid=1), "cannot set uid 1: Operation not permitted"),
        (Identity(gid=1), "cannot set gid 1: Operation not permitted"),
        (Identity(chroot="/tmp"), "cannot chroot to /tmp: Operation not permitted"),
    ],
)
def test_what_cannot_be_given_up_is_an_error_with_a_cure(wanted: Identity, expected: str) -> None:
    assert after(wanted, before="nobody") == {"error": f"{expected}. Start as root, or remove user, group and chroot from section global."}


@ROOT_ONLY
def test_being_that_user_already_is_fine() -> None:
    assert after(Identity(uid=NOBODY), before="nobody")["Uid"].split() == [str(NOBODY)] * 4


def test_a_chroot_that_does_not_exist_is_an_error() -> None:
    assert after(Identity(chroot="/nonexistent"))["error"].startswith("cannot chroot to /nonexistent: ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Identity()),
        ({"user": "root", "group": "root"}, Identity(uid=0, gid=0)),
        ({"user": "123", "group": "45"}, Identity(uid=123, gid=45)),
        ({"chroot": "/var/empty"}, Identity(chroot="/var/empty")),
        ({"extra": {"set-dumpable": ((),), "insecure-setuid-wanted": ((),)}}, Identity(dumpable=True, new_privileges=True)),
        ({"extra": {"set-dumpable": (("off",),), "insecure-setuid-wanted": (("off",),)}}, Identity()),
        ({"extra": {"setcap": (("cap_net_admin,cap_net_raw",),)}}, Identity(kept=(12, 13))),
    ],
)
def test_identity_is_read_from_section_global(settings: dict[str, Any], expected: Identity) -> None:
    assert privileges.identity(Global(**settings)) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"user": "no-such-user"}, "cannot find user id for 'no-such-user': create the user, or change `user` in section global"),
        ({"group": "no-such-group"}, "cannot find group id for 'no-such-group': create the group, or change `group` in section global"),
    ],
)
def test_names_that_do_not_exist_are_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        privileges.identity(Global(**settings))
    assert str(caught.value) == expected
