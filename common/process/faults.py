"""A bug of ours in one line: logs hold no tracebacks. Sans-io."""

from __future__ import annotations

import traceback


def describe(error: BaseException) -> str:
    """What was raised, and where. Of a group of exceptions, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
