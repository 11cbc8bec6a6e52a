"""The mapping of shared counters: one memfd per generation, made by the master, mapped by every process.

What lies in it: common/observe/layout.py.
"""

from __future__ import annotations

import mmap
import os

from common.model import Config
from common.observe.counters import Counters
from common.observe.layout import Layout
from common.process.launch import COUNTERS, Launch


def create(config: Config, processes: int) -> tuple[int, Counters]:
    """(descriptor, the master's view) of zeroed counters for so many processes."""
    layout = Layout.of(config, processes)
    fd = os.memfd_create("usher-counters")
    os.ftruncate(fd, layout.size)
    memory = mmap.mmap(fd, layout.size)
    layout.write(memoryview(memory))
    return fd, Counters(memoryview(memory), layout)


def attach(launch: Launch) -> Counters:
    """A process's own view. Raises LayoutError if the mapping is not for its configuration."""
    memory = memoryview(mmap.mmap(launch.fds[COUNTERS], 0))
    return Counters(memory, Layout.read(memory), launch.row)
