"""What all tests share: the `interop` marker, seeds in the report, and no judgement of how fast the machine is.

`@pytest.mark.interop("haproxy")` names Debian packages that a test needs. Where one is missing the test is skipped with a
reason that the summary shows (-ra); where CI=1 or USHER_CI=1 is set it fails, so that a green CI never means "not run".
"""

from __future__ import annotations

import os
import random
import shutil

import pytest
from hypothesis import HealthCheck, settings

# A fresh clone has no cache of Unicode yet: whichever test asks for text first makes it, and would fail on a busy machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

PROGRAM_OF_PACKAGE = {
    "haproxy": "haproxy",
    "nginx-light": "nginx",
    "curl": "curl",
    "wrk": "wrk",
    "apache2-utils": "ab",
    "openssl": "openssl",
    "man-db": "man",
    "tmux": "tmux",
}


def in_ci() -> bool:
    return any(os.environ.get(name, "") not in ("", "0", "false") for name in ("CI", "USHER_CI"))


def need(package: str) -> None:
    """Skips (in CI: fails) the running test or fixture unless the package's program is installed."""
    program = PROGRAM_OF_PACKAGE[package]
    if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        return
    reason = f"needs {program}: apt-get install {package}"
    if in_ci():
        pytest.fail(f"{reason} (in CI nothing is skipped)", pytrace=False)
    pytest.skip(reason)


def want(program: str, package: str) -> str:
    """The path of a program that is too big to be asked of every machine; skips the test where it is not, in CI too."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"wants {program}: apt-get install {package}")
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("interop"):
        for package in marker.args:
            need(package)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed for a test's own random.Random; printed, and repeatable with USHER_SEED."""
    chosen = int(os.environ.get("USHER_SEED", random.SystemRandom().randrange(2**32)))
    print(f"USHER_SEED={chosen} repeats {request.node.name}")
    return chosen
