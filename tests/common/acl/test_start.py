"""Variables of the process that section global sets."""

from __future__ import annotations

import pytest

from common import model
from common.acl.absent import AbsentWorld
from common.acl.start import set_global_variables
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError


def started(*lines: tuple[str, ...]) -> dict[str, Typed]:
    config = model.Config()
    config.globals.variables.extend(lines)
    world = AbsentWorld()
    set_global_variables(config, world)
    return dict(world.variables)


def test_values_keep_their_types_and_may_build_on_each_other() -> None:
    found = started(
        ("set-var", "proc.number", "int(5),add(2)"),
        ("set-var", "proc.again", "var(proc.number),mul(2)"),
        ("set-var-fmt", "proc.text", "n=%[var(proc.number)]"),
    )
    assert {name: (typed.type, typed.value) for name, typed in found.items()} == {
        "number": (SampleType.INT, 7),
        "again": (SampleType.INT, 14),
        "text": (SampleType.STR, b"n=7"),
    }


def test_what_has_no_value_sets_nothing() -> None:
    assert started(("set-var", "proc.x", "env(NOT_THERE)")) == {}


def test_what_needs_a_client_is_refused() -> None:
    with pytest.raises(ExpressionError):
        started(("set-var", "proc.x", "src"))
