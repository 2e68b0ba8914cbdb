"""STRONG writes over several replicas: once one is acknowledged, nobody serves what was there before."""

import pathlib
import signal
import threading
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import LATE, eventually, fails, refused, total

LEASE = 1.0
SLACK = 4 * LATE  # on top of a wait that nobody's acknowledgement ends
NEAR = cache_pb2.TIER_NEAR
STRONG = cache_pb2.CONSISTENCY_STRONG
TRACKING = {"near": {"lease": f"{LEASE}s"}}
PUBSUB = {"near": {"coherence": "pubsub", "lease": f"{LEASE}s"}}
BY_AGE = {"near": {"coherence": "age", "lease": f"{LEASE}s"}, "defaults": {"near_max_age": "700ms"}}


def acknowledges(server):
    return total(server.metrics(), "cache_coherence_mode", mode="age") == 0


def members(server):
    return total(server.metrics(), "cache_members")


def put_to_sleep(server):
    """Returns when all its threads have stopped."""
    server.process.send(signal.SIGSTOP)
    tasks = pathlib.Path(f"/proc/{server.process.child.pid}/task")

    def sleeps(task):
        return (task / "stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] == "T"

    eventually(lambda: all(map(sleeps, tasks.iterdir())), "it falling asleep")


def writes(server, result):
    return total(server.metrics(), "cache_strong_writes_total", result=result)


@pytest.fixture(name="redis")
def fixture_redis(start):
    redis = start.redis()
    yield redis
    redis.resume()


@pytest.fixture(name="fleet")
def fixture_fleet(start, redis):
    """Starts replicas, and returns when each knows all the others."""

    def fleet(*configs):
        servers = [start.larderd(config, redis=redis) for config in configs]
        for server, config in zip(servers, configs):
            if config is not BY_AGE:
                eventually(lambda: acknowledges(server), "hearing of changes")
        for server in servers:
            eventually(lambda: members(server) == len(servers), "all members")
        # A record that was just made may have been preceded by another, which STRONG writes wait for.
        time.sleep(LEASE)
        return servers

    return fleet


def served_near(client, key):
    eventually(lambda: client.get(key).tier == NEAR, "a near entry")


def percentiles(seconds):
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 99 // 100] * 1e3


def invalidations(number):
    return [
        {"keys": [b"key"]},
        {"tags": ["tag"]},
        {"patterns": [b"k?y"]},
        {"all": True},
    ][number % 4]


@pytest.mark.parametrize("configs", [[TRACKING] * 3, [PUBSUB] * 3, [TRACKING, PUBSUB, PUBSUB]], ids=["t", "p", "tp"])
def test_no_replica_serves_what_was_there_before(fleet, configs):
    servers = fleet(*configs)
    clients = [server.client() for server in servers]
    took = {"Set": [], "Invalidate": []}
    near_hits = 0
    stop = threading.Event()

    def keep_hot(server):
        client = server.client()
        while not stop.is_set():
            client.get(b"key")
            time.sleep(0.001)

    readers = [threading.Thread(target=keep_hot, args=(server,)) for server in servers]
    for reader in readers:
        reader.start()
    try:
        for number in range(400):
            writer = clients[number % 3]
            value = b"%d" % number
            began = time.monotonic()
            writer.set(b"key", value, tags=["tag"], consistency=STRONG)
            took["Set"].append(time.monotonic() - began)
            for client in clients:
                assert client.get(b"key").value == value
            near_hits += sum(client.get(b"key").tier == NEAR for client in clients)
            began = time.monotonic()
            writer.invalidate(**invalidations(number), consistency=STRONG)
            took["Invalidate"].append(time.monotonic() - began)
            for client in clients:
                answer = client.get(b"key")
                assert answer.status == cache_pb2.STATUS_MISS, (number, answer)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert near_hits > 400, "what is tested is the near tier"
    for call, seconds in took.items():
        print("STRONG %s: p50 %.2f ms, p99 %.2f ms" % (call, *percentiles(seconds)))
        assert percentiles(seconds)[0] < LEASE * 1e3 / 4, "by acknowledgement, not by the end of a lease"
    waited_out = sum(writes(server, "waited_out") for server in servers)
    acknowledged = sum(writes(server, "acknowledged") for server in servers)
    assert acknowledged + waited_out == 800 and waited_out < 80, (acknowledged, waited_out)
    samples = servers[0].metrics()
    assert total(samples, "cache_strong_wait_seconds_count") == total(samples, "cache_strong_writes_total") > 0
    assert clients[0].stats().store.members == 3


def test_a_batch_waits_once(fleet):
    here, there = fleet(TRACKING, TRACKING)
    writer, reader = here.client(), there.client()
    keys = [b"key%d" % number for number in range(200)]
    for value in (b"old", b"new"):
        before = writes(here, "acknowledged") + writes(here, "waited_out")
        entries = [cache_pb2.SetRequest(key=key, value=value) for key in keys]
        results = writer.batch_set(entries, consistency=STRONG)
        assert {result.code for result in results} == {0}
        assert writes(here, "acknowledged") + writes(here, "waited_out") == before + 1
        assert {result.value for result in reader.batch_get(keys)} == {value}
        for key in keys[:5]:
            served_near(reader, key)


def test_what_is_refused(fleet):
    (server,) = fleet(TRACKING)
    client = server.client()
    with refused("consistency: 9 is not known"):
        client.set(b"key", b"value", consistency=9)
    with refused("consistency: 9 is not known"):
        client.invalidate(keys=[b"key"], consistency=9)
    entry = cache_pb2.SetRequest(key=b"key", value=b"value", consistency=STRONG)
    with refused("entries[0]: consistency: must be unspecified or that of the batch"):
        client.batch_set([entry])
    assert client.batch_set([entry], consistency=STRONG)[0].code == 0
    with fails(grpc.StatusCode.ABORTED):
        client.set(b"none", b"value", if_present=True, consistency=STRONG)


@pytest.mark.parametrize("config", [TRACKING, PUBSUB], ids=["tracking", "pubsub"])
def test_one_that_sleeps_is_waited_for_and_serves_nothing_old(fleet, config):
    awake, asleep, _ = fleet(config, config, config)
    writer, reader = awake.client(), asleep.client()
    for number in range(3):
        writer.set(b"key", b"old%d" % number)
        served_near(reader, b"key")
        before = writes(awake, "waited_out")
        put_to_sleep(asleep)
        try:
            began = time.monotonic()
            writer.set(b"key", b"new%d" % number, consistency=STRONG)
            took = time.monotonic() - began
        finally:
            asleep.process.send(signal.SIGCONT)
        # Its lease was renewed before it fell asleep, and is counted from the write.
        assert LEASE * 0.99 <= took < LEASE + SLACK, took
        assert writes(awake, "waited_out") == before + 1
        for _ in range(20):
            assert reader.get(b"key").value == b"new%d" % number
        eventually(lambda: acknowledges(asleep), "tracking again")
        eventually(lambda: members(awake) == 3, "it is a member still")


def test_one_that_is_gone_is_waited_for_until_it_is_forgotten(fleet):
    here, gone = fleet(TRACKING, TRACKING)
    writer = here.client()
    gone.process.kill()
    gone.expected_end = -signal.SIGKILL
    took = []
    while members(here) > 1:
        began = time.monotonic()
        writer.set(b"key", b"value", consistency=STRONG)
        took.append(time.monotonic() - began)
    assert took and max(took) < LEASE + SLACK, took
    began = time.monotonic()
    writer.set(b"key", b"value", consistency=STRONG)
    assert time.monotonic() - began < LEASE / 2, "nobody is left to be waited for"


def test_a_deadline_ends_the_wait_and_the_outcome_is_unknown(fleet):
    awake, asleep = fleet(TRACKING, TRACKING)
    writer = awake.client()
    put_to_sleep(asleep)
    try:
        with pytest.raises(grpc.RpcError) as raised:
            writer.set(b"key", b"value", timeout=LEASE / 4, consistency=STRONG)
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert writer.get(b"key").value == b"value", "it had landed"
        eventually(lambda: writes(awake, "error") == 1, "it being counted")
    finally:
        asleep.process.send(signal.SIGCONT)


def test_without_redis_it_fails(fleet, redis):
    (server,) = fleet(TRACKING)
    client = server.client()
    redis.kill()
    eventually(lambda: client.stats().store.state != "ready", "the loss of Redis")
    with fails(grpc.StatusCode.UNAVAILABLE):
        client.set(b"key", b"value", consistency=STRONG)
    with fails(grpc.StatusCode.UNAVAILABLE):
        client.invalidate(keys=[b"key"], consistency=STRONG)


class Checker:
    """Writes STRONG, and reads on every replica; no read that begins after an acknowledgement may show less."""

    def __init__(self, writer, readers):
        self._floor = 0
        self._stop = threading.Event()
        self.problems, self.near_hits, self.acknowledged, self.took = [], 0, 0, []
        self._threads = [threading.Thread(target=self._write, args=(writer.client(),))]
        self._threads += [threading.Thread(target=self._read, args=(server.client(),)) for server in readers]

    def _write(self, client):
        number = 0
        while not self._stop.is_set():
            number += 1
            began = time.monotonic()
            try:
                client.set(b"key", b"%d" % number, consistency=STRONG)
            except grpc.RpcError:
                continue
            self._floor = number
            self.acknowledged += 1
            self.took.append(time.monotonic() - began)
            # So that the entry is a near one for a while.
            time.sleep(0.005)

    def _read(self, client):
        while not self._stop.is_set():
            floor = self._floor
            try:
                answer = client.get(b"key")
            except grpc.RpcError:
                continue
            if answer.status != cache_pb2.STATUS_HIT:
                continue
            self.near_hits += answer.tier == NEAR
            if int(answer.value) < floor:
                self.problems.append((answer.value, floor, answer.tier))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_lost_record_costs_no_write(fleet, redis):
    servers = fleet(TRACKING, TRACKING, BY_AGE)
    with Checker(servers[0], servers) as checker:
        for _ in range(10):
            before = checker.acknowledged
            eventually(lambda floor=before: checker.acknowledged >= floor + 3, "acknowledged writes")
            redis.command("DEL", "larder:members")
        eventually(lambda: all(members(server) == 3 for server in servers), "all members again")
    assert not checker.problems, checker.problems[:5]
    assert checker.near_hits > 100


@pytest.mark.parametrize("config", [TRACKING, PUBSUB], ids=["tracking", "pubsub"])
def test_lost_connections_cost_no_write(fleet, redis, config):
    servers = fleet(config, config, config)
    with Checker(servers[0], servers) as checker:
        for _ in range(20):
            before = checker.acknowledged
            eventually(lambda floor=before: checker.acknowledged >= floor + 3, "acknowledged writes")
            redis.command("CLIENT", "KILL", "TYPE", "normal")
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    assert not checker.problems, checker.problems[:5]
    assert checker.near_hits > 100


def test_one_that_goes_by_age_is_waited_for(fleet):
    tracking, by_age = fleet(TRACKING, BY_AGE)
    writer = tracking.client()
    for number in range(3):
        reader = by_age.client()
        writer.set(b"key", b"old%d" % number)
        served_near(reader, b"key")
        began = time.monotonic()
        writer.set(b"key", b"new%d" % number, consistency=STRONG)
        took = time.monotonic() - began
        assert 0.7 <= took < 0.7 + SLACK, took
        for _ in range(20):
            assert reader.get(b"key").value == b"new%d" % number
    # And it waits for the other's acknowledgement alone.
    began = time.monotonic()
    by_age.client().set(b"key", b"value", consistency=STRONG)
    assert time.monotonic() - began < LEASE / 2
    assert writer.get(b"key").value == b"value"


def test_in_a_mixed_fleet_nothing_old_is_served(fleet):
    servers = fleet(TRACKING, BY_AGE, PUBSUB)
    with Checker(servers[0], servers) as checker:
        eventually(lambda: checker.acknowledged >= 12, "acknowledged writes")
    assert not checker.problems, checker.problems[:5]
    assert checker.near_hits > 100
