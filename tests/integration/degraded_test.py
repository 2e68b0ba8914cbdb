"""What goes on while Redis is away, and what is made up for when it is back (COHERENCE D1 to D4)."""

import contextlib
import statistics
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import SLOW, eventually, fails, run_larder, total

NEAR = cache_pb2.TIER_NEAR
HIT, MISS = cache_pb2.STATUS_HIT, cache_pb2.STATUS_MISS
READ_FROM_STORE = cache_pb2.READ_FROM_STORE
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
BACK_WITHIN = 2.0
NEAR_MAX_AGE = 0.1
STORE = {"redis": {"operation_timeout": "500ms"}}
# Entries outlive their age by the lease, so that one that is answered past it is degraded or tracked.
POLICY = {"near_max_age": f"{NEAR_MAX_AGE}s", "degraded_max_age": "10m"}
SHARED = {"defaults": POLICY, "store": STORE}
AGE = {"near": {"coherence": "age"}, **SHARED}
TRACKING = {"near": {"lease": "1s"}, **SHARED}


@pytest.fixture(name="redis")
def fixture_redis(start):
    redis = start.redis()
    yield redis
    redis.resume()


def breaker_open(server):
    return total(server.metrics(), "cache_breaker_state") != 0


def journalled(server):
    return total(server.metrics(), "cache_journal_entries")


def lose(redis, servers, how):
    """Returns once every server has noticed."""
    redis.kill() if how == "kill" else redis.pause()
    for server in servers:
        client = server.client()

        def noticed(server=server, client=client):
            with contextlib.suppress(grpc.RpcError):
                client.get(b"unheard of", timeout=0.01, read_from=READ_FROM_STORE)
            return breaker_open(server)

        eventually(noticed, "the loss being noticed")


def recover(redis, how):
    if how == "kill":
        assert redis.start(), redis.process.output()
    else:
        redis.resume()


def recovered(servers):
    for server in servers:
        eventually(lambda server=server: not breaker_open(server), "Redis being reached")
        eventually(lambda server=server: journalled(server) == 0, "the replay")


def outcome(client, key, **fields):
    """The answer's value and whether it is degraded; None for a miss; the code of an error."""
    try:
        answer = client.get(key, **fields)
    except grpc.RpcError as error:
        return error.code()
    return (answer.value, answer.degraded) if answer.status == HIT else None


def fill_near(client, keys):
    """Until all are in the near tier, and so old that their age alone would not serve them any more."""
    for key in keys:
        eventually(lambda key=key: client.get(key).tier == NEAR, "a near entry")


@pytest.mark.parametrize("config", [AGE, TRACKING], ids=["age", "tracking"])
@pytest.mark.parametrize("how", ["kill", "kill with data", "pause"])
def test_near_entries_go_on_being_served_and_marked(start, redis, config, how):
    server = start.larderd(config, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    client.set(b"stored", b"value")
    fill_near(client, [b"key"])
    if how == "kill with data":
        redis.command("SAVE")
    how = how.split()[0]
    lose(redis, [server], how)
    eventually(lambda: outcome(client, b"key") == (b"value", True), "a degraded answer")
    before = total(server.metrics(), "cache_degraded_serves_total", namespace="default")
    for _ in range(50):
        answer = client.get(b"key")
        assert (answer.value, answer.tier, answer.degraded) == (b"value", NEAR, True)
    assert total(server.metrics(), "cache_degraded_serves_total", namespace="default") == before + 50
    assert outcome(client, b"key", fresh_only=True) == UNAVAILABLE
    assert outcome(client, b"key", read_from=READ_FROM_STORE) == UNAVAILABLE
    assert outcome(client, b"never read") == UNAVAILABLE
    results = client.batch_get([b"key", b"never read"])
    assert [result.status for result in results] == [HIT, cache_pb2.STATUS_UNAVAILABLE]
    assert results[0].degraded
    told = run_larder("get", "key", port=server.port)
    assert (told.returncode, told.stdout) == (0, b"value") and b"cannot reach its store" in told.stderr
    assert b'"degraded":true' in run_larder("--json", "get", "key", port=server.port).stdout.replace(b" ", b"")
    advice = [line for line in server.http("/readyz")[1].splitlines() if line.startswith("advice: ")]
    assert len(advice) == 1 and "the store is away" in advice[0]
    assert any("the store is away" in sentence for sentence in client.stats().store.advice)
    recover(redis, how)
    recovered([server])
    # Another Redis' data, or none, is not taken for this one's.
    expected = None if how == "kill" else (b"value", False)
    eventually(lambda: outcome(client, b"key") == expected, "the store's own answer")
    assert outcome(client, b"stored", read_from=READ_FROM_STORE) == expected
    assert server.http("/readyz")[1] == "ready\nstore: ready\n"


def test_a_degraded_answer_ends_with_its_age(start, redis):
    server = start.larderd({"defaults": {**POLICY, "degraded_max_age": "2s"}, "store": STORE}, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    fill_near(client, [b"key"])
    began = time.monotonic()
    lose(redis, [server], "kill")
    eventually(lambda: outcome(client, b"key") == UNAVAILABLE, "the end of it")
    assert time.monotonic() - began >= 2.0 - 0.1
    assert outcome(client, b"key") == UNAVAILABLE


def within_a_millisecond(server, method):
    """Calls that failed, and how many of them took the server less than a millisecond."""
    samples = server.metrics()
    of_method = {"grpc_method": method}
    fast = total(samples, "grpc_server_handling_seconds_bucket", le="0.001", **of_method)
    return total(samples, "grpc_server_handling_seconds_count", **of_method), fast


def test_calls_that_need_the_store_fail_at_once(start, redis):
    server = start.larderd(AGE, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    lose(redis, [server], "kill")
    count = 500
    for method, call in {
        "Set": lambda i: client.set(b"key%d" % i, b"value"),
        "Touch": lambda i: client.touch(b"key%d" % i),
        "Get": lambda i: client.get(b"key%d" % i),
    }.items():
        calls, fast = within_a_millisecond(server, method)
        for i in range(count):
            with fails(UNAVAILABLE):
                call(i)
        calls_after, fast_after = within_a_millisecond(server, method)
        share = (fast_after - fast) / (calls_after - calls)
        print(f"{method}: {share:.1%} of {calls_after - calls:.0f} refused within a millisecond")
        # The rest is what else the machine does.
        assert share > (0.5 if SLOW else 0.98)


@pytest.mark.parametrize("config", [AGE, TRACKING], ids=["age", "tracking"])
def test_invalidations_bind_here_at_once_and_everywhere_when_redis_is_back(start, redis, config):
    servers = [start.larderd(config, redis=redis) for _ in range(2)]
    here, there = (server.client() for server in servers)
    keys = [b"key", b"tagged", b"p:1", b"other"]
    for key in keys:
        here.set(key, b"old", tags=["tag"] if key == b"tagged" else [])
    for client in (here, there):
        fill_near(client, keys)
    # It keeps its data and its identity: nothing but the replay drops what was invalidated.
    lose(redis, servers, "pause")
    assert here.invalidate(keys=[b"key"]) == cache_pb2.InvalidateResponse(deferred=True)
    assert outcome(here, b"key") == UNAVAILABLE
    eventually(lambda: outcome(here, b"tagged") == (b"old", True), "a degraded answer")
    told = run_larder("invalidate", "--tag", "tag", port=servers[0].port)
    assert told.returncode == 0 and told.stdout.startswith(b"deferred"), told
    assert here.invalidate(patterns=[b"p:*"]).deferred
    for key in (b"key", b"tagged", b"p:1"):
        assert outcome(here, key) == UNAVAILABLE, key
    assert outcome(here, b"other") == (b"old", True)
    assert journalled(servers[0]) == 3
    assert "3 invalidations wait" in servers[0].http("/readyz")[1]
    with fails(UNAVAILABLE):
        here.set(b"other", b"new")
    assert outcome(here, b"other") == UNAVAILABLE

    redis.resume()
    seen = set()
    end = time.monotonic() + 0.5
    while time.monotonic() < end or journalled(servers[0]) > 0 or breaker_open(servers[0]):
        seen |= {outcome(here, key, **past) for key in keys for past in ({}, {"read_from": READ_FROM_STORE})}
    assert seen <= {None, UNAVAILABLE}, seen
    recovered(servers)
    time.sleep(1.0 + NEAR_MAX_AGE)  # Δ, after which it is promised elsewhere
    for client in (here, there):
        for key in keys:
            eventually(lambda client=client, key=key: outcome(client, key) != UNAVAILABLE, "an answer")
            assert outcome(client, key) is None, key
    here.set(b"key", b"new", tags=["tag"])
    assert outcome(there, b"key", read_from=READ_FROM_STORE) == (b"new", False)
    assert total(servers[0].metrics(), "cache_journal_replayed_total") >= 4


def test_memory_keeps_sets_until_redis_is_back(start, redis):
    config = {"defaults": {**POLICY, "on_store_loss": "memory"}, "store": STORE}
    servers = [start.larderd(config, redis=redis) for _ in range(2)]
    here, there = (server.client() for server in servers)
    here.set(b"key", b"old")
    lose(redis, servers, "pause")
    answer = here.set(b"key", b"new")
    assert answer.degraded and answer.version != 0 and answer.ttl_ms > 0
    assert outcome(here, b"key") == (b"new", True)
    assert outcome(there, b"key") != (b"new", True)
    results = here.batch_set([cache_pb2.SetRequest(key=b"batch", value=b"new")])
    assert [(result.code, result.degraded) for result in results] == [(0, True)]
    assert outcome(here, b"batch") == (b"new", True)
    assert b"by one replica alone" in run_larder("set", "cli", "new", port=servers[0].port).stdout
    with fails(UNAVAILABLE):
        here.set(b"key", b"conditional", if_absent=True)
    redis.resume()
    seen = set()
    while journalled(servers[0]) > 0 or breaker_open(servers[0]):
        seen.add(outcome(here, b"key"))
    # What it knew before is the conditional Set's doing: its failure dropped the key here.
    assert seen <= {None, UNAVAILABLE, (b"new", True)}, seen
    recovered(servers)
    for key in (b"key", b"batch", b"cli"):
        assert outcome(here, key) is None, key
    here.set(b"key", b"newer")
    assert outcome(here, b"key") == (b"newer", False)


def test_an_overflow_ends_all_entries_instead(start, redis):
    config = {**AGE, "store": {"redis": {**STORE["redis"], "journal_entries": 100}}}
    server = start.larderd(config, redis=redis)
    client = server.client()
    client.set(b"never named", b"old")
    client.set(b"0", b"old")
    lose(redis, [server], "pause")
    for i in range(150):
        assert client.invalidate(keys=[b"%d" % i]).deferred
    assert total(server.metrics(), "cache_journal_overflows_total") == 1
    assert journalled(server) == 1
    assert "journal_entries" in server.http("/readyz")[1]
    redis.resume()
    recovered([server])
    assert redis.command("EXISTS", "larder:default:e:never named") == 1
    for key in (b"never named", b"0"):
        assert outcome(client, key) is None
        assert outcome(client, key, read_from=READ_FROM_STORE) is None


def test_a_set_without_an_answer_holds_nothing_but_its_key_back(start, redis):
    server = start.larderd(AGE, redis=redis)
    client = server.client()
    client.set(b"key", b"old")
    client.set(b"other", b"value")
    redis.pause()
    with fails(grpc.StatusCode.DEADLINE_EXCEEDED):
        client.set(b"key", b"new", timeout=0.05)
    # The server's clock runs a moment behind the caller's.
    eventually(lambda: total(server.metrics(), "cache_writes_total", operation="set", result="error") == 1, "the end")
    redis.resume()
    eventually(lambda: outcome(client, b"other", read_from=READ_FROM_STORE) == (b"value", False), "another key")
    recovered([server])
    assert outcome(client, b"key") is None


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_it_is_back_soon_after_redis_is(start, redis, how):
    server = start.larderd({"defaults": POLICY, "store": {"redis": {"operation_timeout": "250ms"}}}, redis=redis)
    late = []
    for pause in (0.0, 0.7, 2.5):
        lose(redis, [server], how)
        time.sleep(pause)  # so that the pauses between attempts grow
        recover(redis, how)
        back = time.monotonic()
        eventually(lambda: not breaker_open(server), "Redis being reached")
        late.append(time.monotonic() - back)
    print("closed after", ", ".join(f"{seconds:.2f} s" for seconds in late))
    assert max(late) <= BACK_WITHIN


def engine_p99_micros(before, after):
    """Of the near hits between two looks at the metrics, inside the engine; linear within a bucket."""
    buckets = {}
    for (name, labels), value in after.items():
        if name == "cache_operation_seconds_bucket" and ("result", "near_hit") in labels:
            bound = float(dict(labels)["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value - before[name, labels]
    wanted = 0.99 * buckets[float("inf")]
    low_bound, low = 0.0, 0.0
    for bound in sorted(buckets):
        if buckets[bound] >= wanted:
            return (low_bound + (bound - low_bound) * (wanted - low) / (buckets[bound] - low)) * 1e6
        low_bound, low = bound, buckets[bound]
    raise AssertionError(buckets)


# So many that the 1 % is not a handful, which another process could fill.
P99_CALLS = 3_000


def p99_micros(server, client, key, degraded):
    """Of near hits, as a caller sees them and inside the engine."""
    times = []
    before = server.metrics()
    for _ in range(P99_CALLS):
        began = time.perf_counter()
        answer = client.get(key)
        times.append(time.perf_counter() - began)
        assert answer.tier == NEAR and answer.degraded == degraded
    return statistics.quantiles(times, n=100)[98] * 1e6, engine_p99_micros(before, server.metrics())


def near_hits_with_and_without_redis(server, client, redis):
    """Whether the median p99 of five interleaved runs is the same without Redis; what was seen."""
    up, down = [], []
    for _ in range(5):
        client.set(b"key", b"value")
        eventually(lambda: total(server.metrics(), "cache_coherence_mode", mode="tracking") == 1, "tracking")
        fill_near(client, [b"key"])
        # Until the news of the Set are over, and only the lease answers for the entry.
        eventually(lambda: client.get(b"key").tier == NEAR and client.get(b"key").age_ms > 200, "a tracked near entry")
        up.append(p99_micros(server, client, b"key", degraded=False))
        lose(redis, [server], "pause")
        eventually(lambda: outcome(client, b"key") == (b"value", True), "a degraded answer")
        down.append(p99_micros(server, client, b"key", degraded=True))
        redis.resume()
        recovered([server])
    held, seen = True, []
    for who, with_redis, without in zip(("caller", "engine"), zip(*up), zip(*down)):
        before, after = statistics.median(with_redis), statistics.median(without)
        seen.append(f"near hits, p99 of {P99_CALLS}, median of 5, {who}: {before:.0f} us with Redis, {after:.0f} us without")
        # A sanitizer's build on a busy machine says nothing of what a caller sees.
        held &= (SLOW and who == "caller") or after <= before + max(50.0, before / 10)
    return held, seen


def test_near_hits_take_no_longer_without_redis(start, redis):
    server = start.larderd(TRACKING, redis=redis)
    client = server.client()
    # Another process that takes the processor for a while is in one measurement; what the server does is in all three.
    for _ in range(3):
        held, seen = near_hits_with_and_without_redis(server, client, redis)
        print("\n".join(seen))
        if held:
            return
    pytest.fail("near hits take longer without Redis, in each of three measurements")
