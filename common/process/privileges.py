"""Giving up what is not needed any more: root, groups, the file system, capabilities, setuid programs.

Dispatchers and workers call `drop` once their sockets, certificates and logs are open. The master keeps its identity: it
binds sockets and reads certificates again at a reload, and moves no byte of traffic.

Source: HAProxy configuration manual 3.1 (user, uid, group, gid, chroot, setcap, set-dumpable, insecure-setuid-wanted);
capabilities(7), prctl(2), capset(2).
"""

from __future__ import annotations

import ctypes
import encodings.idna  # getaddrinfo loads it on first use, which is too late in a chroot
import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from common.errors import ConfigError, UsherError
from common.model import Global
from common.process.switches import is_on

assert encodings.idna  # for its effect only

CAPABILITIES = {"cap_net_bind_service": 10, "cap_net_admin": 12, "cap_net_raw": 13, "cap_sys_admin": 21}

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 8, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522


class PrivilegeError(UsherError):
    """What had to be given up could not be; the process must not go on."""


ArgumentT = TypeVar("ArgumentT")


@dataclass(frozen=True, slots=True)
class Identity:
    """uid, gid: None = as it is. kept: capabilities that survive the change of user."""

    uid: int | None = None
    gid: int | None = None
    chroot: str | None = None
    kept: tuple[int, ...] = ()
    dumpable: bool = False
    new_privileges: bool = False


def identity(settings: Global) -> Identity:
    """What the configuration asks for. Raises ConfigError for users and groups that do not exist."""
    kept = [name for line in settings.extra.get("setcap", ()) for word in line for name in word.split(",")]
    return Identity(
        uid=_user(settings.user),
        gid=_group(settings.group),
        chroot=settings.chroot,
        kept=tuple(CAPABILITIES[name] for name in kept if name in CAPABILITIES),
        dumpable=is_on(settings, "set-dumpable"),
        new_privileges=is_on(settings, "insecure-setuid-wanted"),
    )


def drop(wanted: Identity) -> None:
    """Become that. Raises PrivilegeError when it is not possible. To be called once, before any thread starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if wanted.gid is not None and (wanted.gid != os.getgid() or os.geteuid() == 0):
        _try(f"cannot set gid {wanted.gid}", _set_groups, wanted)
    if wanted.chroot is not None:
        _try(f"cannot chroot to {wanted.chroot}", _change_root, wanted.chroot)
    if wanted.uid is not None and wanted.uid != os.getuid():
        if wanted.kept:
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        _try(f"cannot set uid {wanted.uid}", os.setuid, wanted.uid)
    if os.getuid() != 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        _set_capabilities(libc, wanted.kept)
    if not wanted.new_privileges:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if wanted.dumpable:
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _try(what: str, act: Callable[[ArgumentT], None], argument: ArgumentT) -> None:
    try:
        act(argument)
    except OSError as error:
        raise PrivilegeError(f"{what}: {error.strerror}. Start as root, or remove user, group and chroot from section global.") from error


def _set_groups(wanted: Identity) -> None:
    """Supplementary groups would outlive setgid: they are given up first, where we may."""
    assert wanted.gid is not None
    if os.geteuid() == 0:
        os.setgroups([wanted.gid])
    os.setgid(wanted.gid)


def _change_root(path: str) -> None:
    os.chroot(path)
    os.chdir("/")


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _set_capabilities(libc: ctypes.CDLL, kept: tuple[int, ...]) -> None:
    """Keep these of the capabilities that we have, lose all others."""
    header = _Header(_CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)()
    libc.capget(ctypes.byref(header), data)
    mask = sum(1 << capability for capability in kept)
    for word, bits in zip(data, (mask & 0xFFFFFFFF, mask >> 32), strict=True):
        word.permitted &= bits
        word.effective = word.permitted
        word.inheritable = 0
    if libc.capset(ctypes.byref(header), data):
        raise PrivilegeError(f"cannot set capabilities: {os.strerror(ctypes.get_errno())}")


def _user(name: str | None) -> int | None:
    """`user` by name, or `uid` by number."""
    if not name or name.isdigit():
        return int(name) if name else None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"cannot find user id for '{name}': create the user, or change `user` in section global") from None


def _group(name: str | None) -> int | None:
    if not name or name.isdigit():
        return int(name) if name else None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"cannot find group id for '{name}': create the group, or change `group` in section global") from None
