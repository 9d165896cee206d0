"""Limits of downloads for tests: waits that are recorded instead, and other limits for a mirror."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from unittest import mock

from svipctl.datasets.fetch import connection, download


@dataclass(frozen=True)
class Patience:
    """Limits after which a mirror is given up."""

    sleep: Callable[[float], object]
    """Function that receives the seconds of each wait."""
    connections: int = download.MOST_CONNECTIONS
    slowest: int = connection.SLOWEST
    period: float = connection.PERIOD

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the limits of all downloads in this process."""
        with (
            mock.patch("tenacity.nap.time", SimpleNamespace(sleep=self.sleep)),
            mock.patch.object(download, "MOST_CONNECTIONS", self.connections),
            mock.patch.multiple(connection, SLOWEST=self.slowest, PERIOD=self.period),
        ):
            yield


SLEEPLESS = Patience(lambda seconds: None)
