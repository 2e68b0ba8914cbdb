"""Runs what the production overlay's pods run, each on a loopback address of its own: the rendered scripts and
configurations, in which only names and addresses are replaced."""

import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

from checks.manifests import CheckError, Manifest, Overlay, containers, environment

REDIS_PORT, SENTINEL_PORT, GRPC_PORT = 6379, 26379, 50051
PASSWORD = "failover-check"
# A child dies with this process, however that ends.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


def eventually(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """How long it took until the condition held."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise CheckError(f"failover: not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - start


class Addresses:
    """A block of loopback that nobody listens in, in the place of the pods' names."""

    def __init__(self) -> None:
        for _ in range(100):
            self.block = f"127.{random.randrange(16, 240)}.{random.randrange(256)}"
            if all(map(self._is_free, range(1, 24))):
                return
        raise CheckError("failover: no free loopback addresses")

    def _is_free(self, host: int) -> bool:
        for port in (REDIS_PORT, SENTINEL_PORT, GRPC_PORT, 8404, 9090):
            with socket.socket() as probe, contextlib.suppress(ConnectionError):
                if probe.connect_ex((f"{self.block}.{host}", port)) == 0:
                    return False
        return True

    def redis(self, number: int) -> str:
        return f"{self.block}.{11 + number}"

    def sentinel(self, number: int) -> str:
        return f"{self.block}.{21 + number}"

    @property
    def proxy(self) -> str:
        return f"{self.block}.2"

    @property
    def larderd(self) -> str:
        return f"{self.block}.3"

    def replace(self, text: str) -> str:
        """The names of pods and services, longest first."""
        domain = r"(?:\.\$\{NAMESPACE\}\.svc\.\$\{CLUSTER_DOMAIN\})?"
        text = re.sub(r"larder-redis-(\d)\.larder-redis" + domain, lambda m: self.redis(int(m[1])), text)
        text = re.sub(r"larder-sentinel-(\d)\.larder-sentinel", lambda m: self.sentinel(int(m[1])), text)
        return text.replace("//larder-redis-proxy:", f"//{self.proxy}:")


class Process:
    """A child with its output in a file."""

    def __init__(self, command: list[str], folder: pathlib.Path, variables: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.log = folder / "log"
        ours = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                DIE_WITH_PARENT + command,
                cwd=folder,
                env=ours | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        self.child.wait()


class Cluster:
    """Three Redis, three Sentinels, HAProxy and larderd. A context manager; everything it started ends with it."""

    def __init__(self, overlay: Overlay, larderd: pathlib.Path) -> None:
        self._overlay = overlay
        self._larderd = larderd
        self._exit = contextlib.ExitStack()
        self.addresses = Addresses()
        self.redis: dict[str, Process] = {}
        self.sentinels: dict[str, Process] = {}
        self.processes: list[Process] = []

    def __enter__(self) -> "Cluster":
        with contextlib.ExitStack() as undo:
            self._folder = pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="larder-failover-")))
            undo.callback(self._stop_all)
            (self._folder / "password").write_text(PASSWORD + "\n", "ascii")
            for number in range(3):
                self.start_redis(number)
            for number in range(3):
                self.start_sentinel(number)
            self._start_proxy()
            self._start_larderd()
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _stop_all(self) -> None:
        for process in self.processes:
            process.stop()

    def logs(self) -> str:
        return "\n".join(f"--- {p.log.parent.name}\n{p.log.read_text('utf-8')[-2000:]}" for p in self.processes)

    def _start(self, command: list[str], folder: str, variables: dict[str, str]) -> Process:
        self.processes.append(Process(command, self._folder / folder, variables))
        return self.processes[-1]

    def _container(self, kind: str, name: str) -> Manifest:
        workload = self._overlay.find(kind, name)
        if workload is None:
            raise CheckError(f"failover: {self._overlay.name} has no {kind}/{name}")
        return next(containers(workload))

    def _files(self, name: str) -> dict[str, str]:
        """The files of a generated ConfigMap, whatever the hash behind its name."""
        pattern = re.compile(re.escape(name) + r"(-[a-z0-9]{10})?")
        found = [m for m in self._overlay.all("ConfigMap") if pattern.fullmatch(m["metadata"]["name"])]
        return {key: self.addresses.replace(text) for key, text in found[0]["data"].items()}

    def _variables(self, container: Manifest, **more: str) -> dict[str, str]:
        plain = {name: self.addresses.replace(v["value"]) for name, v in environment(container).items() if "value" in v}
        return plain | {"REDIS_PASSWORD_FILE": str(self._folder / "password")} | more

    def start_redis(self, number: int) -> None:
        host = self.addresses.redis(number)
        self.redis[host] = self._start_node("larder-redis", host)

    def start_sentinel(self, number: int) -> None:
        host = self.addresses.sentinel(number)
        self.sentinels[host] = self._start_node("larder-sentinel", host)

    def _start_node(self, name: str, host: str) -> Process:
        """A pod of a StatefulSet: its script, from a folder that holds the ConfigMap's files."""
        container = self._container("StatefulSet", name)
        scripts = self._folder / f"config-{host}"
        scripts.mkdir(exist_ok=True)
        for key, text in self._files(name).items():
            text = re.sub(r"(?m)^(port \d+)$", rf"bind {host}\n\1", text)
            (scripts / key).write_text(text.replace("-h 127.0.0.1 ", f"-h {host} "), "utf-8")
        command = self._script(container["command"], host)
        return self._start(command, host, self._variables(container, NODE_HOST=host))

    def _script(self, command: list[str], host: str) -> list[str]:
        """The pod's command, with the script from the folder of this one."""
        shell, script = command
        return [shell, str(self._folder / f"config-{host}" / pathlib.Path(script).name)]

    def is_ready(self, name: str, host: str) -> bool:
        """What the pod's readiness probe says."""
        container = self._container("StatefulSet", name)
        command = self._script(container["readinessProbe"]["exec"]["command"], host)
        variables = os.environ | self._variables(container, NODE_HOST=host)
        return subprocess.run(command, env=variables, capture_output=True, timeout=5, check=False).returncode == 0

    def are_all_ready(self) -> bool:
        hosts = [("larder-redis", host) for host in self.redis] + [("larder-sentinel", host) for host in self.sentinels]
        return all(self.is_ready(name, host) for name, host in hosts)

    def _start_proxy(self) -> None:
        file = self._folder / "haproxy.cfg"
        text = self._files("larder-redis-proxy")["haproxy.cfg"]
        file.write_text(re.sub(r"(?m)^  bind :", f"  bind {self.addresses.proxy}:", text), "utf-8")
        container = self._container("Deployment", "larder-redis-proxy")
        command = [*container["command"][:-1], str(file)]
        self._start(command, "proxy", self._variables(container, REDIS_PASSWORD=PASSWORD))

    def _start_larderd(self) -> None:
        file = self._folder / "larder.yaml"
        text = self._files("larder")["larder.yaml"]
        file.write_text(text.replace("0.0.0.0:", f"{self.addresses.larderd}:"), "utf-8")
        variables = self._variables(self._container("Deployment", "larder"))
        self._start([str(self._larderd), "--config", str(file)], "larderd", variables)

    def redis_cli(self, host: str, port: int, *words: str, password: str | None = PASSWORD) -> str:
        command = ["redis-cli", "-h", host, "-p", str(port), *words]
        secret = {} if password is None else {"REDISCLI_AUTH": password}
        return subprocess.run(
            command, env=os.environ | secret, capture_output=True, text=True, timeout=5, check=False
        ).stdout.strip()

    def masters(self) -> Iterator[str]:
        """The nodes that say that they are masters."""
        for host in self.redis:
            if "role:master" in self.redis_cli(host, REDIS_PORT, "INFO", "replication"):
                yield host

    def sentinel_master(self) -> set[str]:
        """What the Sentinels say; one name if they agree."""
        asked = ("SENTINEL", "get-master-addr-by-name", "larder")
        answers = [self.redis_cli(self.addresses.sentinel(n), SENTINEL_PORT, *asked) for n in range(3)]
        return {answer.split("\n")[0] for answer in answers}
