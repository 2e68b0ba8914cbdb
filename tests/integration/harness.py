"""Starts and stops what the tests need: larderd, Redis, the command line tool. Everything listens on loopback only."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.environ["LARDER_STUBS"])

import grpc
import health_pb2
import health_pb2_grpc
from larder.v1 import cache_pb2, cache_pb2_grpc

LARDERD = os.environ["LARDERD"]
LARDER = os.environ["LARDER"]
REDIS_SERVER = os.environ.get("LARDER_REDIS_SERVER", "redis-server")
# A sanitizer's build is several times slower; what bounds waiting grows with it, what a test proves does not.
SLOW = os.environ.get("LARDER_SLOW") == "1"
PATIENCE = 60.0 if SLOW else 20.0
# How far past its deadline a call may end, in seconds.
LATE = 0.250 if SLOW else 0.050

# A child dies with the test, however that ends.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|terminate called")


def eventually(condition, what, timeout=None):
    """The first true result of `condition`, asked again and again."""
    end = time.monotonic() + (timeout or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"never came about: {what}"
        time.sleep(0.005)


def free_port():
    """A free port of loopback; another process may still take it first. Below those that outgoing connections get, so
    that none takes it while its owner is away; where there is no room for 1,000 below them, any."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    begin = max(1024, end // 2)
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(begin, end) if end - begin >= 1000 else 0))
            return probe.getsockname()[1]


class Process:
    """A child whose standard error is kept line by line."""

    def __init__(self, command, environment=None):
        self.lines = []
        self._changed = threading.Condition()
        self.child = subprocess.Popen(
            DIE_WITH_PARENT + command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append(None)
            self._changed.notify_all()

    def output(self):
        return "\n".join(line for line in self.lines if line is not None)

    def wait_for_line(self, wanted, what, after=0):
        """The first result of `wanted(line)` that is not None; fails if the process ends without one."""
        end = time.monotonic() + PATIENCE
        seen = after
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    assert line is not None, f"ended before {what}:\n{self.output()}"
                    found = wanted(line)
                    if found is not None:
                        return found
                seen = len(self.lines)
                assert self._changed.wait(end - time.monotonic()), f"no {what}:\n{self.output()}"

    def send(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit code."""
        code = self.child.wait(timeout)
        self._reader.join(PATIENCE)
        return code

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        return self.wait()


class Redis:
    """A redis-server of its own, on a port that it keeps when it is killed and started again."""

    def __init__(self, folder, started=True, arguments=()):
        self.folder = folder
        self.arguments = list(arguments)
        self.process = None
        self.port = free_port()
        for _ in range(20):
            if not started or self.start():
                return
            self.port = free_port()
        raise AssertionError("no free port for Redis")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        """False if it does not come up, as when the port is taken, even if by another Redis."""
        self.process = Process(
            [*self._program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
            + ["--daemonize", "no", *self.arguments]
        )
        return eventually(
            lambda: "down" if self.process.child.poll() is not None else "up" if self._answers() else None, "Redis"
        ) == "up"

    def _program(self):
        return [REDIS_SERVER, "--save", "", "--appendonly", "no"]

    def _answers(self):
        """Is it this child that answers, not another server that was quicker to take the port?"""
        try:
            answer = self.command("INFO", "server")
        except (OSError, AssertionError):
            return False
        return b"process_id:%d\r\n" % self.process.child.pid in (answer or b"")

    def kill(self):
        if self.process is not None:
            self.process.kill()

    def pause(self):
        self.process.send(signal.SIGSTOP)

    def resume(self):
        self.process.send(signal.SIGCONT)

    def command(self, *arguments):
        """Runs one command over a connection of its own; any byte may stand in an argument."""
        words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as reply:
                return self._parse(reply)

    def _parse(self, reply):
        line = reply.readline()
        if not line:
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise AssertionError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else reply.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._parse(reply) for _ in range(int(rest))]
        return rest


class Sentinel(Redis):
    """A sentinel, which watches nothing yet."""

    def _program(self):
        file = self.folder / "sentinel.conf"
        file.touch()
        return [REDIS_SERVER, str(file), "--sentinel"]


def clean_environment(**more):
    """This process's environment without what larderd or the tool would take from it."""
    ours = ("LARDER", "CACHE_", "REDIS_", "DISABLE_CACHE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


class Larderd:
    """A server on free ports. `config` is the configuration as JSON has it, without the addresses."""

    def __init__(self, config=None, environment=None, arguments=()):
        self.folder = tempfile.TemporaryDirectory(prefix="larderd-")
        self.config_file = pathlib.Path(self.folder.name) / "larder.json"
        self.store = (config or {}).get("store", {})
        self.write_config(config or {})
        self.process = Process(
            [LARDERD, "--config", str(self.config_file), *arguments],
            clean_environment(LARDER_LOG_FORMAT="json", **(environment or {})),
        )
        try:
            serving = self.wait_for_log("serving")
        except BaseException:
            self.process.kill()
            raise
        self.port = serving["grpc_port"]
        self.operations_port = serving["operations_port"]
        self.expected_end = 0
        self.clients = []

    def write_config(self, config):
        """Replaces the file in one step, as an operator or Kubernetes would. The store stays as it was at the start."""
        whole = {
            **config,
            "store": self.store,
            "grpc": {"listen": "127.0.0.1:0", **config.get("grpc", {})},
            "operations": {"listen": "127.0.0.1:0", **config.get("operations", {})},
        }
        self.replace_config_text(json.dumps(whole, indent=1))

    def replace_config_text(self, text):
        new = self.config_file.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.rename(self.config_file)

    def logs(self, message):
        return [log for log in map(parse_log, list(self.process.lines)) if log and log.get("message") == message]

    def wait_for_log(self, message, after=0):
        """The first log line with the message, from line number `after` on."""

        def look(line):
            log = parse_log(line)
            return log if log and log.get("message") == message else None

        return self.process.wait_for_line(look, f"log line {message!r}", after)

    def client(self, **options):
        self.clients.append(Client(self.port, **options))
        return self.clients[-1]

    def http(self, path, method="GET"):
        """Status, body and headers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.operations_port}{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def metrics(self):
        """The samples by name and labels: {("name", frozenset of label pairs): value}."""
        status, text, _ = self.http("/metrics")
        assert status == 200
        return parse_metrics(text)

    def stop(self, number=signal.SIGTERM):
        """Asks the server to end and checks that it does so cleanly. Again: only checks."""
        for client in self.clients:
            client.close()
        if self.process.child.poll() is None:
            self.process.send(signal.SIGCONT)
            self.process.send(number)
        try:
            code = self.process.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "none: it had to be killed"
        self.folder.cleanup()
        output = self.process.output()
        assert code == self.expected_end, f"exit code {code}:\n{output}"
        assert not SANITIZER_REPORT.search(output), output


def parse_log(line):
    try:
        log = json.loads(line or "")
    except ValueError:
        return None
    return log if isinstance(log, dict) else None


SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            samples[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return samples


def total(samples, wanted, **labels):
    """The sum of the samples of that name that have the labels."""
    pairs = set(labels.items())
    return sum(value for (name, has), value in samples.items() if name == wanted and pairs <= has)


class Client:
    """One channel with the stubs, and each call as a function of its request's fields."""

    def __init__(self, port, timeout=PATIENCE, **options):
        # A channel with arguments like another one's would share its connection.
        settings = {"grpc.enable_http_proxy": 0, "grpc.enable_retries": 0, "grpc.use_local_subchannel_pool": 1}
        settings.update({"grpc.max_reconnect_backoff_ms": 200, "grpc.initial_reconnect_backoff_ms": 50})
        settings.update(options)
        self.timeout = timeout
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", list(settings.items()))
        self.cache = cache_pb2_grpc.CacheStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def close(self):
        self.channel.close()

    def get(self, key, timeout=None, **fields):
        return self.cache.Get(cache_pb2.GetRequest(key=key, **fields), timeout=timeout or self.timeout)

    def set(self, key, value, timeout=None, **fields):
        return self.cache.Set(cache_pb2.SetRequest(key=key, value=value, **fields), timeout=timeout or self.timeout)

    def touch(self, key, **fields):
        return self.cache.Touch(cache_pb2.TouchRequest(key=key, **fields), timeout=self.timeout)

    def invalidate(self, **fields):
        return self.cache.Invalidate(cache_pb2.InvalidateRequest(**fields), timeout=self.timeout)

    def batch_get(self, keys, **fields):
        request = cache_pb2.BatchGetRequest(keys=keys, **fields)
        return self.cache.BatchGet(request, timeout=self.timeout).results

    def batch_set(self, entries, **fields):
        request = cache_pb2.BatchSetRequest(entries=entries, **fields)
        return self.cache.BatchSet(request, timeout=self.timeout).results

    def warm(self, entries):
        """The messages that the server sends, the last of which is `finished`."""
        return list(self.cache.Warm(iter(entries), timeout=self.timeout))

    def stats(self, *namespaces):
        return self.cache.Stats(cache_pb2.StatsRequest(namespaces=namespaces), timeout=self.timeout)

    def check(self, service=""):
        return self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=self.timeout).status


@contextlib.contextmanager
def fails(code, message=None):
    """The call inside ends with the code, and the message if one is given. Yields a place for the error."""
    caught = []
    try:
        yield caught
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        if message is not None:
            assert error.details() == message
        caught.append(error)
        return
    raise AssertionError(f"the call succeeded instead of ending with {code}")


def refused(message):
    """The call inside is refused for what it asks."""
    return fails(grpc.StatusCode.INVALID_ARGUMENT, message)


def run_larder(*arguments, port=None, stdin=b"", environment=None):
    """The command line tool run to its end; output as bytes."""
    address = [] if port is None else ["--address", f"127.0.0.1:{port}"]
    timeout = ["--timeout", f"{int(PATIENCE)}s"]
    return subprocess.run(
        [*DIE_WITH_PARENT, LARDER, *address, *timeout, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        env=clean_environment(**(environment or {})),
    )
