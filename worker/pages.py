"""Error messages of a proxy: errorfile, errorfiles, errorloc, or the built-in ones.

Files are read when the worker starts; a missing one stops the start, not a client.
Source: HAProxy manual 4.2 "errorfile", "errorfiles", "errorloc302", "errorloc303".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import model
from common.errors import ConfigError
from worker.http.answers import SILENT, Answer, built_in
from worker.http.error_files import error_location, read_error_file
from worker.http.head import Limits

if TYPE_CHECKING:
    from worker.exchange import Exchange


class ErrorPages:
    """status -> Answer for one proxy."""

    __slots__ = ("_answers",)

    def __init__(self, proxy: model.Proxy, limits: Limits) -> None:
        """Raises ConfigError for a file that cannot be read or is no HTTP response."""
        self._answers: dict[int, Answer] = {}
        for status, (code, location) in proxy.error_locations.items():
            self._answers[status] = error_location(location.encode(), code)
        for status, path in proxy.error_files.items():
            self._answers[status] = load_page(path, limits) if path and path != "/dev/null" else SILENT

    def answer(self, status: int, _exchange: Exchange) -> Answer:
        return self._answers.get(status) or built_in(status)


def load_page(path: str, limits: Limits) -> Answer:
    """A file with a whole HTTP response in it. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigError(f"error file '{path}' cannot be read: {error.strerror}") from error
    try:
        return read_error_file(content, limits)
    except ConfigError as error:
        raise ConfigError(f"error file '{path}': {error}") from error
