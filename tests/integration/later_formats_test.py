"""What a later release leaves in the Redis that it shares with this one, while a fleet is upgraded: never a wrong answer, never
a crash, never overwritten but by a Set, and all as before once it is gone. Entries that this release reads are in
foreign_entries_test.py."""

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import eventually, total

CONTROL = "larder:{default}:ctl"
MEMBERS = "larder:members"
PLACE = b"larder:default:e:key"
FORMAT_OFFSET = 4
NEAR = cache_pb2.TIER_NEAR
# So long that nothing is served or missed for its age.
CONFIG = {"near": {"coherence": "tracking", "lease": "1s"}, "defaults": {"near_max_age": "50ms"}}


@pytest.fixture(name="redis")
def fixture_redis(start):
    return start.redis()


@pytest.fixture(name="server")
def fixture_server(start, redis):
    server = start.larderd(CONFIG, redis=redis)
    eventually(lambda: total(server.metrics(), "cache_coherence_mode", mode="tracking") == 1, "Redis telling of changes")
    return server


@pytest.fixture(name="client")
def fixture_client(server):
    client = server.client()
    client.set(b"key", b"value")
    eventually(lambda: client.get(b"key").tier == NEAR and client.get(b"key").age_ms > 100, "a near entry past its age")
    return client


def answer(client, **arguments):
    """Nothing where the call fails."""
    try:
        return client.get(b"key", **arguments)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL), error
        return None


def serves_again(client):
    def cycle():
        try:
            client.set(b"key", b"new")
        except grpc.RpcError:
            return False
        got = answer(client)
        return got is not None and got.value == b"new" and not got.degraded

    eventually(cycle, "everything as before")


def test_an_entry_of_a_later_format_takes_the_place_of_a_near_one(redis, client):
    entry = redis.command("GET", PLACE)
    later = entry[:FORMAT_OFFSET] + b"\x02" + entry[FORMAT_OFFSET + 1 :]
    redis.command("SET", PLACE, later, "PX", 600_000)
    eventually(lambda: client.get(b"key").status == cache_pb2.STATUS_MISS, "a miss")
    asked = client.get(b"key", want_lease=True)
    assert asked.status == cache_pb2.STATUS_MISS and not asked.HasField("lease")
    with pytest.raises(grpc.RpcError) as refused:
        client.set(b"key", b"new", if_version=1)
    assert refused.value.code() == grpc.StatusCode.ABORTED
    assert redis.command("GET", PLACE) == later
    client.set(b"key", b"new")
    assert client.get(b"key").value == b"new"


def test_a_control_record_of_a_later_format_ends_what_is_served(redis, client):
    redis.command("DEL", CONTROL)
    later = "head:2:0123456789abcdef:somebody"
    redis.command("ZADD", CONTROL, "+inf", later, "1", "epoch")

    def is_refused():
        got = answer(client, fresh_only=True)
        return got is None or got.status == cache_pb2.STATUS_MISS

    eventually(is_refused, "the near entry not being served as current")
    for _ in range(50):
        got = answer(client)
        assert got is None or got.degraded or got.status == cache_pb2.STATUS_MISS
    with pytest.raises(grpc.RpcError):
        client.set(b"key", b"new")
    # It is no more ours to replace than to read.
    assert redis.command("ZSCORE", CONTROL, later) == b"inf"
    redis.command("DEL", CONTROL)
    serves_again(client)


def test_a_members_record_of_a_later_format_ends_near_hits_and_strong_writes(redis, client):
    redis.command("DEL", MEMBERS)
    later = "head:2:somebody"
    redis.command("ZADD", MEMBERS, "-1", later)
    eventually(lambda: client.get(b"key").tier != NEAR, "near hits ending")
    # The store serves all the same.
    assert client.get(b"key").value == b"value"
    client.set(b"key", b"bounded")
    assert client.get(b"key").value == b"bounded"
    with pytest.raises(grpc.RpcError) as refused:
        client.set(b"key", b"strong", consistency=cache_pb2.CONSISTENCY_STRONG)
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    assert redis.command("ZSCORE", MEMBERS, later) == b"-1"
    redis.command("DEL", MEMBERS)
    eventually(lambda: answer(client).tier == NEAR, "near hits again")
