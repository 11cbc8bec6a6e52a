"""Fixtures of the flows: the program as a parameter, one started flow per module and program."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.harness import Flow
from tests.flows.programs import BY_NAME, PROGRAMS, Program


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Program:
    """Each program that the flows run with, in turn."""
    found = BY_NAME[request.param]
    if found.package:
        need(found.package)
    return found


@pytest.fixture(scope="module")
def module_flow(request: pytest.FixtureRequest, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """One running program for all tests of a module. The module's `configuration(program_name)` says what it runs."""
    configuration: Callable[[str], str] = request.module.configuration
    folder = tmp_path_factory.mktemp(program.name)
    certificates.put_into(folder)
    with Flow(folder, (program, configuration(program.name))) as flow:
        yield flow
