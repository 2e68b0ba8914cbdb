"""A Redis that has stopped answering: deadlines are kept, cancelled calls leave nothing behind."""

import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import LATE, PATIENCE, eventually, total

READ_FROM_STORE = cache_pb2.READ_FROM_STORE
# So long that it is the deadline, or its caller, that ends a call.
NO_TIMEOUT = {"store": {"redis": {"operation_timeout": "60s"}}}
TIMEOUT = 0.25
DEFAULT_TIMEOUT = {"store": {"redis": {"operation_timeout": f"{TIMEOUT}s"}}}
BY_AGE = {"near": {"coherence": "age"}}


@pytest.fixture(name="redis")
def fixture_redis(start):
    redis = start.redis()
    yield redis
    redis.resume()


def requests(name):
    """Each call that needs the store: its stub's name and a request."""
    return {
        "Get": cache_pb2.GetRequest(key=name, read_from=READ_FROM_STORE),
        "Set": cache_pb2.SetRequest(key=name, value=b"value"),
        "Touch": cache_pb2.TouchRequest(key=name),
        "Invalidate": cache_pb2.InvalidateRequest(keys=[name]),
        "BatchGet": cache_pb2.BatchGetRequest(keys=[name, b"other"], read_from=READ_FROM_STORE),
        "BatchSet": cache_pb2.BatchSetRequest(entries=[cache_pb2.SetRequest(key=name, value=b"value")]),
    }


def all_handled(server):
    """Has every call that began come to its end?"""
    samples = server.metrics()
    return total(samples, "grpc_server_started_total") == total(samples, "grpc_server_handled_total")


def test_cancelled_calls_leave_nothing_behind(start, redis):
    server = start.larderd(NO_TIMEOUT, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    for _ in range(3):
        redis.pause()
        before = total(server.metrics(), "grpc_server_started_total")
        pending = [
            getattr(client.cache, method).future(request, timeout=10 * PATIENCE)
            for i in range(50)
            for method, request in requests(b"key%d" % i).items()
        ]
        warming = client.cache.Warm(
            (cache_pb2.WarmRequest(key=b"warm%d" % i, value=b"v") for i in range(200)), timeout=10 * PATIENCE
        )
        eventually(
            lambda: total(server.metrics(), "grpc_server_started_total") == before + len(pending) + 1,
            "the calls' arrival",
        )
        assert not any(call.done() for call in pending)
        warming.cancel()
        for call in pending:
            call.cancel()
        assert all(call.cancelled() for call in pending)
        redis.resume()
        client.set(b"key", b"after")
        assert client.get(b"key", read_from=READ_FROM_STORE).value == b"after"
        eventually(lambda: all_handled(server), "the end of every call")


def test_callers_that_vanish_leave_nothing_behind(start, redis):
    server = start.larderd(NO_TIMEOUT, redis=redis)
    other = server.client()
    redis.pause()
    client = server.client()
    calls = [
        getattr(client.cache, method).future(request, timeout=10 * PATIENCE)
        for i in range(50)
        for method, request in requests(b"key%d" % i).items()
    ]
    eventually(
        lambda: total(server.metrics(), "grpc_server_started_total") == len(calls), "the calls' arrival"
    )
    client.close()
    redis.resume()
    other.set(b"key", b"value")
    eventually(lambda: all_handled(server), "the end of every call")


@pytest.mark.parametrize("method", requests(b""))
def test_calls_end_by_their_deadline(start, redis, method):
    server = start.larderd(NO_TIMEOUT, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()
    late = []
    for deadline in [0.02, 0.05, 0.1, 0.2, 0.5]:
        begin = time.monotonic()
        call = getattr(client.cache, method).future(requests(b"key")[method], timeout=deadline)
        if method == "BatchSet":
            # Each entry has an outcome of its own; the answer may still come in time.
            assert call.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK)
        else:
            assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        late.append(time.monotonic() - begin - deadline)
    assert max(late) < LATE, late
    # Not by the client alone: the server has let go of them as well, with Redis still silent.
    eventually(lambda: all_handled(server), "the end of every call", timeout=LATE + 1.0)


@pytest.mark.parametrize("method", requests(b""))
def test_calls_without_a_near_deadline_end_by_the_operation_timeout(start, redis, method):
    server = start.larderd(DEFAULT_TIMEOUT, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()
    late = []
    for _ in range(3):
        begin = time.monotonic()
        call = getattr(client.cache, method).future(requests(b"key")[method], timeout=PATIENCE)
        if method == "BatchSet":
            assert [result.code for result in call.result().results] == [grpc.StatusCode.UNAVAILABLE.value[0]]
        elif method == "Invalidate":
            assert call.result().deferred
        else:
            assert call.code() == grpc.StatusCode.UNAVAILABLE, call.details()
        late.append(time.monotonic() - begin - TIMEOUT)
    assert max(late) < LATE, late


def test_near_hits_are_served_meanwhile(start, redis):
    server = start.larderd({**BY_AGE, "defaults": {"near_max_age": "1h"}, **DEFAULT_TIMEOUT}, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()
    for _ in range(20):
        assert client.get(b"key", timeout=PATIENCE).tier == cache_pb2.TIER_NEAR
    results = client.batch_get([b"key", b"other"])
    assert [result.status for result in results] == [cache_pb2.STATUS_HIT, cache_pb2.STATUS_UNAVAILABLE]
    assert results[1] == cache_pb2.GetResponse(status=cache_pb2.STATUS_UNAVAILABLE)


def test_a_near_entry_is_not_served_past_its_age(start, redis):
    server = start.larderd({**BY_AGE, "defaults": {"near_max_age": "300ms"}, **DEFAULT_TIMEOUT}, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()

    def outcome():
        try:
            return client.get(b"key", timeout=PATIENCE, fresh_only=True).tier  # nothing degraded
        except grpc.RpcError as error:
            return error.code()

    eventually(lambda: outcome() == grpc.StatusCode.UNAVAILABLE, "the end of the near entry", timeout=3.0)
    assert outcome() == grpc.StatusCode.UNAVAILABLE


def test_it_goes_on_when_redis_does(start, redis):
    server = start.larderd(DEFAULT_TIMEOUT, redis=redis)
    client = server.client()
    client.set(b"key", b"value")
    redis.pause()
    for _ in range(5):
        assert client.cache.Set.future(cache_pb2.SetRequest(key=b"key", value=b"x"), timeout=0.4).exception(PATIENCE)
    redis.resume()

    def served():
        try:
            return client.set(b"key", b"after")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            return None

    eventually(served, "a Set", timeout=2.0)
    assert client.get(b"key", read_from=READ_FROM_STORE).value == b"after"
    eventually(lambda: all_handled(server), "the end of every call")
