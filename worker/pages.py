"""Error messages of a proxy: errorfile, errorfiles, errorloc, or the built-in ones.

Files are read when the worker starts; a missing one stops the start, not a client.
Source: HAProxy manual 4.2 "errorfile", "errorfiles", "errorloc302", "errorloc303".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import model
from common.acl.environment import CompileEnvironment
from common.errors import ConfigError
from worker.http.answers import SILENT, Answer, built_in
from worker.http.error_files import error_location, read_error_file
from worker.http.head import Limits
from worker.route.replies import http_errors

if TYPE_CHECKING:
    from worker.facts import ExchangeFacts


class ErrorPages:
    """status -> Answer for one proxy."""

    __slots__ = ("_answers", "_made")

    def __init__(self, proxy: model.Proxy, environment: CompileEnvironment) -> None:
        """Raises ConfigError for a file that cannot be read or is no HTTP response, ExpressionError for formats."""
        assert environment.config is not None
        limits = Limits.of(environment.config.globals)
        self._answers: dict[int, Answer] = {}
        self._made = http_errors(proxy, environment)
        for status, (code, location) in proxy.error_locations.items():
            self._answers[status] = error_location(location.encode(), code)
        for status, path in proxy.error_files.items():
            self._answers[status] = load_page(path, limits) if path and path != "/dev/null" else SILENT

    def find(self, status: int, exchange: ExchangeFacts) -> Answer | None:
        """This proxy's own page for a status."""
        make = self._made.get(status)
        return make(exchange) if make is not None else self._answers.get(status)

    def answer(self, status: int, exchange: ExchangeFacts) -> Answer:
        return self.find(status, exchange) or built_in(status)


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
