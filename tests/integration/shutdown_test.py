"""SIGTERM and SIGINT: stop being ready, let calls end, close, exit 0."""

import queue
import signal
import threading
import time
import urllib.error

import grpc
import pytest
import health_pb2
from larder.v1 import cache_pb2

from harness import PATIENCE, SLOW, eventually, total

DRAIN_SECONDS = 3
CONFIG = {"grpc": {"drain_timeout": f"{DRAIN_SECONDS}s"}}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# What closing everything may take beyond the drain.
CLOSING_SECONDS = 5 if SLOW else 2


@pytest.fixture(name="server")
def fixture_server(start, store):
    return start.larderd(CONFIG, redis=start.redis() if store == "redis" else None)


class Load:
    """Threads that make one unary call after another until one finds the server gone."""

    def __init__(self, server, threads=6):
        self.codes = queue.SimpleQueue()
        self.answered = [0] * threads
        self._threads = [
            threading.Thread(target=self._run, args=(number, server.client())) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()
        eventually(lambda: min(self.answered) >= 20, "load on every connection")

    def _run(self, number, client):
        calls = [
            lambda: client.set(b"key%d" % number, b"v" * 1_000),
            lambda: client.get(b"key%d" % number),
            lambda: client.get(b"key%d" % number, read_from=cache_pb2.READ_FROM_STORE),
            lambda: client.batch_get([b"key%d" % i for i in range(10)]),
            lambda: client.invalidate(keys=[b"key%d" % number]),
            lambda: client.stats(),
        ]
        while True:
            for call in calls:
                try:
                    call()
                except grpc.RpcError as error:
                    self.codes.put(error.code())
                    return
                self.answered[number] += 1

    def join(self):
        """The codes that the threads ended with."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a call hangs"
        codes = []
        while not self.codes.empty():
            codes.append(self.codes.get())
        return codes


class Watch:
    """A health Watch and what it said, in order, with the code that it ended with."""

    def __init__(self, client):
        self.said = []
        self._call = client.health.Watch(health_pb2.HealthCheckRequest(), timeout=2 * PATIENCE)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        eventually(lambda: self.said, "the first state")

    def _read(self):
        try:
            for answer in self._call:
                self.said.append(answer.status)
        except grpc.RpcError as error:
            self.said.append(error.code())


class Warm:
    """A Warm stream that sends an entry whenever it is told to, until it is told to end."""

    def __init__(self, client):
        self.to_send = queue.SimpleQueue()
        self.progress = []
        self.code = None
        self._call = client.cache.Warm(iter(self.to_send.get, None), timeout=2 * PATIENCE)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        self.to_send.put(cache_pb2.WarmRequest(key=b"warm", value=b"value"))

    def _read(self):
        try:
            for message in self._call:
                self.progress.append(message)
            self.code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.code = error.code()

    def end(self):
        self.to_send.put(None)


def readiness(server):
    try:
        return server.http("/readyz")[0]
    except (urllib.error.URLError, ConnectionError, OSError):
        return "gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_under_load_everything_ends_well(server, number):
    assert readiness(server) == 200
    watch, warm = Watch(server.client()), Warm(server.client())
    load = Load(server)
    told = time.monotonic()
    server.process.send(number)
    # The open Warm keeps the server there, so its draining can be looked at.
    eventually(lambda: readiness(server) == 503, "not being ready")
    assert server.process.child.poll() is None
    eventually(lambda: NOT_SERVING in watch.said, "NOT_SERVING")
    # Each call that the server took was answered. One that arrives between the server's stop and its client's hearing
    # of it is not taken: the distribution's gRPC resets it, which the client sees as CANCELLED.
    assert set(load.join()) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    samples = server.metrics()
    unary = [total(samples, f"grpc_server_{what}_total", grpc_type="unary") for what in ("started", "handled")]
    assert unary == [sum(load.answered)] * 2
    assert total(samples, "grpc_server_handled_total", grpc_type="unary", grpc_code="OK") == unary[1]
    warm.to_send.put(cache_pb2.WarmRequest(key=b"warm too", value=b"value"))
    warm.end()
    warm.thread.join(PATIENCE)
    assert warm.code == grpc.StatusCode.OK
    assert (warm.progress[-1].finished, warm.progress[-1].written) == (True, 2)
    assert server.process.wait() == 0
    assert time.monotonic() - told < DRAIN_SECONDS + CLOSING_SECONDS
    watch.thread.join(PATIENCE)
    assert watch.said == [SERVING, NOT_SERVING, grpc.StatusCode.UNAVAILABLE]
    assert readiness(server) == "gone"
    assert [log["signal"] for log in server.logs("told to stop")] == [signal.Signals(number).name]
    assert len(server.logs("stopped")) == 1


def test_idle_connections_do_not_delay_the_end(server):
    clients = [server.client() for _ in range(5)]
    for client in clients:
        # Without a call, and without this, Python's gRPC does not look at the connection and so not at its end either.
        client.channel.subscribe(lambda _: None)
    watches = [Watch(client) for client in clients]
    begin = time.monotonic()
    server.process.send(signal.SIGTERM)
    assert server.process.wait() == 0
    assert time.monotonic() - begin < DRAIN_SECONDS
    for watch in watches:
        watch.thread.join(PATIENCE)
        assert watch.said == [SERVING, NOT_SERVING, grpc.StatusCode.UNAVAILABLE]


def test_a_stream_left_open_is_cut_at_the_drain_timeout(server):
    warm = Warm(server.client())
    eventually(lambda: server.client().get(b"warm").status == cache_pb2.STATUS_HIT, "the warmed entry")
    begin = time.monotonic()
    server.process.send(signal.SIGTERM)
    assert server.process.wait() == 0
    assert DRAIN_SECONDS - 0.1 < time.monotonic() - begin < DRAIN_SECONDS + CLOSING_SECONDS
    warm.end()
    warm.thread.join(PATIENCE)
    assert warm.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_calls_that_wait_for_redis_end_before_the_server(start):
    redis = start.redis()
    server = start.larderd({**CONFIG, "store": {"redis": {"operation_timeout": "1s"}}}, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()
    pending = [
        client.cache.Get.future(
            cache_pb2.GetRequest(key=b"key", read_from=cache_pb2.READ_FROM_STORE), timeout=client.timeout
        )
        for _ in range(100)
    ]
    eventually(
        lambda: total(server.metrics(), "grpc_server_started_total", grpc_method="Get") == 100, "the calls' arrival"
    )
    begin = time.monotonic()
    server.process.send(signal.SIGTERM)
    assert {call.exception(PATIENCE).code() for call in pending} == {grpc.StatusCode.UNAVAILABLE}
    assert server.process.wait() == 0
    assert time.monotonic() - begin < DRAIN_SECONDS + CLOSING_SECONDS
    redis.resume()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_redis_ends_as_well(start, number):
    redis = start.redis()
    redis.kill()
    server = start.larderd(CONFIG, redis=redis, ready=False)
    begin = time.monotonic()
    server.stop(number)
    assert time.monotonic() - begin < CLOSING_SECONDS
