"""Redis killed and started again under load, many times over."""

import threading
import time

import grpc
from larder.v1 import cache_pb2

from harness import LATE, eventually, total

ROUNDS = 20
CALLERS = 4
DEADLINE = 0.5
BACK_WITHIN = 2.0
# How long Redis is away, by round, in seconds: at once back, and long enough for the pauses between attempts to grow.
OUTAGES = [0.0, 0.05, 0.2, 0.5, 1.3]
MAY_END_WITH = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def all_handled(server):
    """The metrics, once every call that began has come to its end."""
    samples = server.metrics()
    if total(samples, "grpc_server_started_total") == total(samples, "grpc_server_handled_total"):
        return samples
    return None


class Caller(threading.Thread):
    """Writes a rising number under a key of its own and reads it back; remembers what must not have been."""

    def __init__(self, number, server, stop):
        super().__init__(daemon=True)
        self.key = b"counter%d" % number
        self.client = server.client()
        self.stop = stop
        self.next = 1
        self.acknowledged = 0
        self.failures = 0
        self.successes = 0
        self.last_success = 0.0  # when a call that needed Redis had its answer
        self.late = []
        self.wrong = []

    def run(self):
        while not self.stop.is_set():
            self.write()
            self.read(cache_pb2.READ_FROM_UNSPECIFIED)
            self.read(cache_pb2.READ_FROM_STORE)
            self.read_batch()

    def call(self, call):
        """The answer, or None. Every call has an end, in time, with a code that it may have."""
        begin = time.monotonic()
        answer = None
        try:
            answer = call()
            self.successes += 1
        except grpc.RpcError as error:
            self.failures += 1
            if error.code() not in MAY_END_WITH:
                self.wrong.append(f"{error.code()}: {error.details()}")
        end = time.monotonic()
        if end - begin > DEADLINE + LATE:
            self.late.append(end - begin)
        if answer is None:
            self.stop.wait(0.001)  # so that an outage does not leave Redis without a processor to come back on
        return answer

    def write(self):
        value, self.next = self.next, self.next + 1
        if self.call(lambda: self.client.set(self.key, b"%d" % value, timeout=DEADLINE)):
            self.acknowledged = value
            self.last_success = time.monotonic()

    def read(self, read_from):
        hit = self.call(lambda: self.client.get(self.key, timeout=DEADLINE, read_from=read_from))
        if hit is None:
            return
        self.judge(hit)
        if read_from == cache_pb2.READ_FROM_STORE:
            self.last_success = time.monotonic()

    def read_batch(self):
        request = cache_pb2.BatchGetRequest(keys=[self.key])
        answer = self.call(lambda: self.client.cache.BatchGet(request, timeout=DEADLINE))
        if answer is not None:
            self.judge(answer.results[0])

    def judge(self, hit):
        if hit.status == cache_pb2.STATUS_HIT and not self.acknowledged <= int(hit.value) < self.next:
            self.wrong.append(f"read {hit.value} after {self.acknowledged} was acknowledged and {self.next - 1} tried")


def test_killed_and_started_again_twenty_times(start):
    redis = start.redis()
    server = start.larderd({"store": {"redis": {"operation_timeout": "250ms"}}}, redis=redis)
    stop = threading.Event()
    callers = [Caller(number, server, stop) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    back_after = []
    try:
        for number in range(ROUNDS):
            successes = [caller.successes for caller in callers]
            eventually(
                lambda: all(caller.successes > before + 40 for caller, before in zip(callers, successes)), "load"
            )
            failures = [caller.failures for caller in callers]
            redis.kill()
            down = time.monotonic()
            eventually(
                lambda: all(caller.failures > before for caller, before in zip(callers, failures))
                and time.monotonic() - down >= OUTAGES[number % len(OUTAGES)],
                "every caller noticing the outage",
            )
            assert redis.start(), redis.process.output()
            back = time.monotonic()
            eventually(
                lambda: all(caller.last_success > back for caller in callers), "success", timeout=2 * BACK_WITHIN
            )
            back_after.append(max(caller.last_success for caller in callers) - back)
    finally:
        stop.set()
        for caller in callers:
            caller.join(10 * DEADLINE)
    assert not any(caller.is_alive() for caller in callers)
    assert sum((caller.wrong for caller in callers), []) == []
    assert sum((caller.late for caller in callers), []) == []
    assert max(back_after) <= BACK_WITHIN, back_after
    assert all(caller.failures >= ROUNDS for caller in callers)
    assert server.client().stats().store.disconnects >= ROUNDS
    samples = eventually(lambda: all_handled(server), "the end of every call")
    expected = {"OK", "Unavailable", "DeadlineExceeded"}
    handled = sum(total(samples, "grpc_server_handled_total", grpc_code=code) for code in expected)
    assert handled == total(samples, "grpc_server_handled_total")


def test_a_redis_that_comes_back_with_old_data_is_not_trusted(start):
    """A snapshot taken before a write must not bring the old value back (COHERENCE C3)."""
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    client.set(b"key", b"old")
    redis.command("SAVE")
    client.set(b"key", b"new")
    client.set(b"gone", b"value")
    client.invalidate(keys=[b"gone"])
    redis.kill()
    assert redis.start()
    assert redis.command("EXISTS", "larder:default:e:key") == 1

    def read():
        try:
            return client.get(b"key", read_from=cache_pb2.READ_FROM_STORE)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            return None

    assert eventually(read, "an answer", timeout=BACK_WITHIN).status == cache_pb2.STATUS_MISS
    assert client.get(b"key").status == cache_pb2.STATUS_MISS


def test_flushing_redis_leaves_misses_not_old_values(start):
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    for i in range(10):
        client.set(b"%d" % i, b"value")
    redis.command("FLUSHALL")
    for i in range(10):
        assert client.get(b"%d" % i, read_from=cache_pb2.READ_FROM_STORE).status == cache_pb2.STATUS_MISS
    client.set(b"0", b"new")
    assert client.get(b"0", read_from=cache_pb2.READ_FROM_STORE).value == b"new"


def test_forgotten_scripts_are_loaded_again(start):
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    client.set(b"key", b"one")
    redis.command("SCRIPT", "FLUSH")
    client.set(b"key", b"two")
    redis.command("SCRIPT", "FLUSH")
    assert client.touch(b"key").status == cache_pb2.STATUS_HIT
    redis.command("SCRIPT", "FLUSH")
    client.invalidate(all=True)
    assert client.get(b"key", read_from=cache_pb2.READ_FROM_STORE).status == cache_pb2.STATUS_MISS


def test_a_redis_without_memory_refuses_writes_and_takes_invalidations(start):
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    client.set(b"key", b"value")
    redis.command("CONFIG", "SET", "maxmemory", "1")
    try:
        client.set(b"other", b"value")
        raise AssertionError("a Set was acknowledged that cannot have been stored")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    assert client.invalidate(keys=[b"key"]).dropped == 1
    client.invalidate(all=True)
    redis.command("CONFIG", "SET", "maxmemory", "0")
    client.set(b"other", b"value")
