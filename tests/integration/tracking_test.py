"""Two replicas that Redis tells of each other's writes, or that tell each other."""

import bisect
import collections
import signal
import threading
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import LATE, PATIENCE, eventually, total

LEASE = 1.0
NEAR = cache_pb2.TIER_NEAR
MODE = "cache_coherence_mode"


def config_of(coherence):
    # Entries would be asked for again after a moment, were it not for the lease.
    return {"near": {"coherence": coherence, "lease": f"{LEASE}s"}, "defaults": {"near_max_age": "50ms"}}


def mode_of(server):
    """Just now; None while it changes."""
    samples = server.metrics()
    modes = [mode for mode in ("tracking", "pubsub", "age") if total(samples, MODE, mode=mode) == 1]
    return modes[0] if len(modes) == 1 else None


def tracks(server):
    return mode_of(server) in ("tracking", "pubsub")


@pytest.fixture(name="redis")
def fixture_redis(start):
    redis = start.redis()
    yield redis
    redis.resume()


@pytest.fixture(name="coherence", params=["tracking", "pubsub"])
def fixture_coherence(request):
    return request.param


@pytest.fixture(name="replicas")
def fixture_replicas(start, redis, coherence):
    servers = [start.larderd(config_of(coherence), redis=redis) for _ in range(2)]
    for server in servers:
        eventually(lambda: mode_of(server) == coherence, "hearing of changes")
        eventually(lambda: total(server.metrics(), "cache_near_renewals_total") > 0, "a lease")
    return servers


def served(client, key):
    """A hit, in the end: while connections are lost a Get may fail."""

    others = collections.Counter()  # what else was answered

    def hit():
        try:
            answer = client.get(key)
        except grpc.RpcError as error:
            others[f"{error.code()}: {error.details()}"[:100]] += 1
            return None
        if answer.status == cache_pb2.STATUS_HIT and not answer.degraded:
            return answer
        others["degraded" if answer.degraded else cache_pb2.Status.Name(answer.status)] += 1
        return None

    try:
        return eventually(hit, "a hit")
    except AssertionError as error:
        raise AssertionError(f"{error} of {key}: {dict(others)}") from error


def settle(client, key):
    """Until the key is in the near tier, and the news of how it came into being are over."""
    eventually(lambda: client.get(key).tier == NEAR and client.get(key).age_ms > 100, "a near entry past its age")


def test_entries_outlive_their_age_while_redis_is_heard(replicas, coherence):
    client = replicas[0].client()
    client.set(b"key", b"value")
    settle(client, b"key")
    end = time.monotonic() + 2 * LEASE
    while time.monotonic() < end:
        assert client.get(b"key").tier == NEAR
    assert client.stats().store.coherence_mode == coherence


def start_limited(start, redis, *rights):
    """As by default, with a user that may do all but what `rights` take away."""
    redis.command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", *rights)
    options = {"user": "limited", "password": "secret", "operation_timeout": f"{PATIENCE / 2}s"}
    server = start.larderd({"store": {"redis": options}}, redis=redis, ready=False)
    eventually(lambda: total(server.metrics(), "cache_members") > 0, "its registration")
    return server


def refusals(server):
    return [line for line in server.process.lines if '"Redis does not tell of changed keys' in line]


def advice_of(server):
    status, body, _ = server.http("/readyz")
    assert status == 200
    (advice,) = [line for line in body.splitlines() if line.startswith("advice: Redis does not tell")]
    assert any(advice.endswith(sentence) for sentence in server.client().stats().store.advice)
    return advice


def test_where_redis_refuses_replicas_tell_each_other(start, redis):
    servers = [start_limited(start, redis, "-client|tracking") for _ in range(2)]
    for server in servers:
        eventually(lambda: mode_of(server) == "pubsub", "the other way")
        eventually(lambda: refusals(server), "the refusal in the log")
    here, there = (server.client() for server in servers)
    assert here.stats().store.coherence_mode == "pubsub"
    assert "what others than Larder write, and what Redis evicts, is not noticed" in advice_of(servers[0])
    there.set(b"key", b"old")
    settle(here, b"key")
    there.set(b"key", b"new")
    eventually(lambda: here.get(b"key").value == b"new", "the news", timeout=LEASE + LATE)
    # Who may hear of it by now is tracked from the next session on, which begins with nothing.
    settle(here, b"key")
    redis.command("ACL", "SETUSER", "limited", "+client|tracking")
    redis.command("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: mode_of(servers[0]) == "tracking", "tracking")
    eventually(lambda: servers[0].http("/readyz")[1] == "ready\nstore: ready\n", "no advice")
    assert len(refusals(servers[0])) == 1


def test_where_redis_refuses_all_age_it_is(start, redis):
    server = start_limited(start, redis, "-client|tracking", "-subscribe")
    client = server.client()
    eventually(lambda: refusals(server), "the refusal in the log")
    client.set(b"key", b"value")
    eventually(lambda: client.get(b"key").tier == NEAR, "a near entry, by its age")
    assert mode_of(server) == client.stats().store.coherence_mode == "age"
    assert "let the ACL user run client|tracking and role" in advice_of(server)
    assert len(refusals(server)) == 1


def test_what_others_write_is_seen_at_once(replicas, redis, coherence):
    here, there = (server.client() for server in replicas)
    lags = []
    for number in range(200):
        value = b"%d" % number
        there.set(b"key", value)
        acknowledged = time.monotonic()
        while here.get(b"key").value != value:
            assert time.monotonic() - acknowledged < LEASE + LATE
        lags.append(time.monotonic() - acknowledged)
    assert sorted(lags)[len(lags) // 2] < LEASE / 4, "by the news, not by the end of the lease"
    if coherence == "tracking":
        # What is not ours is seen as well.
        settle(here, b"key")
        redis.command("SET", "larder:default:e:key", "foreign")
        eventually(lambda: here.get(b"key").status == cache_pb2.STATUS_MISS, "the foreign write", timeout=LEASE + LATE)
    else:
        settle(here, b"key")
        redis.command("UNLINK", "larder:default:e:key")  # as if evicted
        there.invalidate(keys=[b"key"])
        eventually(lambda: here.get(b"key").status == cache_pb2.STATUS_MISS, "the key", timeout=LEASE + LATE)
    there.set(b"tagged", b"value", tags=["tag"])
    settle(here, b"tagged")
    there.invalidate(tags=["tag"])
    eventually(lambda: here.get(b"tagged").status == cache_pb2.STATUS_MISS, "the tag", timeout=LEASE + LATE)


def test_a_replica_that_slept_serves_nothing_old(replicas):
    asleep, awake = replicas
    here, there = asleep.client(), awake.client()
    for number, asleep_for in enumerate((2 * LEASE, 10)):
        here.set(b"key", b"old%d" % number)
        settle(here, b"key")
        asleep.process.send(signal.SIGSTOP)
        try:
            there.set(b"key", b"new%d" % number)
            time.sleep(asleep_for)  # that is what is tested: the lease ends while it sleeps
        finally:
            asleep.process.send(signal.SIGCONT)
        for _ in range(200):
            assert here.get(b"key").value == b"new%d" % number


def test_without_redis_age_bounds_what_is_served(replicas, redis):
    client = replicas[0].client()
    client.set(b"key", b"value")
    settle(client, b"key")
    redis.pause()
    assert client.get(b"key", timeout=PATIENCE).tier == NEAR
    eventually(lambda: not tracks(replicas[0]), "the end of tracking")
    with pytest.raises(grpc.RpcError):
        client.get(b"key", timeout=0.2, fresh_only=True)  # what is here may still be served as degraded
    redis.resume()
    eventually(lambda: tracks(replicas[0]), "tracking again")
    eventually(lambda: client.get(b"key", timeout=PATIENCE, fresh_only=True).value == b"value", "the value")


def test_lost_connections_cost_no_write(replicas, redis, coherence):
    """COHERENCE P1: no Get answers with less than what was acknowledged a lease before it began, or, on the replica that
    acknowledged it, before it began."""
    keys = [b"a", b"b", b"c"]
    acknowledged = {key: ([0.0], [0]) for key in keys}  # when, and up to which number
    stop = threading.Event()
    problems, hits, near_hits = [], [0, 0], [0, 0]

    def write():
        client = replicas[1].client()
        number = 0
        while not stop.is_set():
            number += 1
            for key in keys:
                try:
                    client.set(key, b"%d" % number)
                except grpc.RpcError:
                    continue
                times, floors = acknowledged[key]
                floors.append(number)
                times.append(time.monotonic())

    def read(which):
        client = replicas[which].client()
        while not stop.is_set():
            for key in keys:
                began = time.monotonic()
                try:
                    answer = client.get(key)
                except grpc.RpcError:
                    continue
                if answer.status != cache_pb2.STATUS_HIT or answer.degraded:
                    continue
                hits[which] += 1
                near_hits[which] += answer.tier == NEAR
                times, floors = acknowledged[key]
                floor = floors[bisect.bisect_right(times, began - (LEASE if which == 0 else 0)) - 1]
                if int(answer.value) < floor:
                    problems.append((key, answer.value, floor, answer.tier))

    threads = [threading.Thread(target=write)] + [threading.Thread(target=read, args=(i,)) for i in range(2)]
    here, there = (server.client() for server in replicas)
    replaced = []  # keys that were written once more while the connections were lost, and never again

    def lose_connections(number):
        if coherence == "pubsub" and number % 3 == 0:
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        elif coherence == "pubsub" and number % 3 == 1:
            # No mark, no news: as if somebody had written unheard.
            redis.command("ZREM", "larder:{default}:ctl", "listeners")
            redis.command("CLIENT", "KILL", "TYPE", "normal")
        else:
            redis.command("CLIENT", "KILL", "TYPE", "normal")

    def set_at_last(key, value):
        def try_it():
            try:
                return there.set(key, value)
            except grpc.RpcError:
                return None

        eventually(try_it, "a Set")

    def check_replaced():
        while replaced and replaced[0][1] < time.monotonic() - LEASE:
            key, _ = replaced.pop(0)
            answer = served(here, key)
            assert answer.value == b"new", (key, answer)

    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            once = b"once%d" % number
            set_at_last(once, b"old")
            eventually(lambda key=once: served(here, key).tier == NEAR, "a near entry")
            losses = total(replicas[0].metrics(), "cache_near_losses_total")
            lose_connections(number)
            set_at_last(once, b"new")
            replaced.append((once, time.monotonic()))
            check_replaced()
            eventually(
                lambda before=losses: total(replicas[0].metrics(), "cache_near_losses_total") > before
                and tracks(replicas[0]),
                "tracking again",
            )
        time.sleep(1.1 * LEASE)  # the bound that the last of them are held to
        check_replaced()
        assert not replaced
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:5]
    assert min(hits) > 100 and min(near_hits) > 10, (hits, near_hits)
