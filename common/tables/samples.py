"""A stick table as sample expressions see it: keys are samples of any type. Sans-io. Implements common.acl.facts_world.StickTable."""

from __future__ import annotations

from common.acl.types import SampleType, Typed
from common.tables.entry import Entry
from common.tables.keys import KeyOf, key_maker
from common.tables.table import Table


class SampleTable:
    """See the module."""

    __slots__ = ("_makers", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self._makers: dict[SampleType, KeyOf | None] = {kind: key_maker(table.definition, kind) for kind in SampleType}

    @property
    def used(self) -> int:
        return self.table.used

    @property
    def available(self) -> int:
        return self.table.available

    def key(self, sample: Typed) -> bytes | None:
        make = self._makers[sample.type]
        return make(sample.value) if make is not None else None

    def lookup(self, key: Typed) -> Entry | None:
        found = self.key(key)
        return self.table.lookup(found) if found is not None else None

    def enter(self, key: Typed) -> Entry | None:
        found = self.key(key)
        return self.table.enter(found) if found is not None else None

    def begin(self, key: Typed, *, asked: bool) -> Entry | None:
        found = self.key(key)
        if found is None:
            return None
        plans = self.table.plans
        return self.table.track(found, plans.asked if asked else plans.connection)

    def match(self, key: Typed) -> Entry | None:
        """The entry for the key, refreshed; None if there is none."""
        found = self.key(key)
        return self.table.refresh(found) if found is not None else None
