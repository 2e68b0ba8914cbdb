"""Starts what the live check needs, on free ports of loopback and in a temporary folder, and stops it again."""

import json
import pathlib
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

PATIENCE = 20.0
# A child dies with the check, however that ends.
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(Exception):
    """The check cannot go on, and why."""


def free_port() -> int:
    """Below those that outgoing connections get, so that none takes it while its owner is away."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(end // 2, end)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


def http(url: str) -> bytes:
    try:
        with _OPENER.open(url, timeout=PATIENCE) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise Failure(f"{url}: {error.code} {error.read().decode(errors='replace').strip()}") from error
    except OSError as error:
        raise Failure(f"{url}: {error}") from error


def eventually(condition: Callable[[], Any], what: str, limit: float = PATIENCE) -> Any:
    """The first true result; a Failure while it asks counts as none."""
    end = time.monotonic() + limit
    why = ""
    while time.monotonic() < end:
        try:
            if result := condition():
                return result
        except Failure as failure:
            why = f": {failure}"
        time.sleep(0.05)
    raise Failure(f"never came about: {what}{why}")


class Process:
    """A child whose output goes to a file of its own."""

    def __init__(self, name: str, command: list[str], folder: pathlib.Path):
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [*_DIE_WITH_PARENT, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder
            )

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """As eventually(), but ends at once with what the child wrote if it has ended."""

        def look() -> Any:
            return condition() or self._child.poll() is not None

        eventually(look, f"{self.name}: {what}")
        if self._child.poll() is not None:
            raise Failure(f"{self.name} ended:\n{self.log.read_text('utf-8', 'replace')[-2000:]}")

    def stop(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()


class Prometheus:
    """The HTTP API of a Prometheus on this machine."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str | float) -> Any:
        answer = json.loads(http(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        return answer["data"]

    def has_data(self, expression: str, start: float, end: float) -> bool:
        """True if at any second between `start` and `end` the expression has a value that is a number."""
        result = self.ask("query_range", query=expression, start=start, end=end, step=1)["result"]
        return any(value != "NaN" for series in result for _, value in series["values"])

    def values(self, expression: str) -> list[float]:
        """What the expression is now, one value for each series."""
        return [float(series["value"][1]) for series in self.ask("query", query=expression)["result"]]
