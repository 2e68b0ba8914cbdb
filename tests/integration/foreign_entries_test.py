"""What stands in Redis under our keys and is not ours, is truncated, or is of a newer format: a miss, counted, never
overwritten but by a Set, and never harmful."""

import json

import pytest
from larder.v1 import cache_pb2

# Where the fields of an entry stand; see docs/envelope.md.
FORMAT_OFFSET = 4
FLAGS_OFFSET = 5
COMPRESSED = 1
HEADER_BYTES = 56


def changed(entry, offset, byte):
    return entry[:offset] + bytes([byte]) + entry[offset + 1 :]


DAMAGE = {
    "empty": lambda entry: b"",
    "text": lambda entry: b"somebody else's value, long enough for a header and then some more",
    "every byte": lambda entry: bytes(range(256)),
    "json": lambda entry: json.dumps({"id": 7, "name": "widget"}).encode(),
    "one byte short": lambda entry: entry[:-1],
    "one byte more": lambda entry: entry + b"!",
    "half a header": lambda entry: entry[: HEADER_BYTES // 2],
    "header alone": lambda entry: entry[:HEADER_BYTES],
    "newer format": lambda entry: changed(entry, FORMAT_OFFSET, 2),
    "unknown flag": lambda entry: changed(entry, FLAGS_OFFSET, 0x80),
    "lengths of 2^32": lambda entry: entry[:48] + b"\xff" * 8 + entry[HEADER_BYTES:],
}


@pytest.fixture(name="server", scope="module")
def fixture_server(start_shared):
    return start_shared.larderd(redis=start_shared.redis())


@pytest.fixture(name="place")
def fixture_place(server, key):
    """The key that Redis knows the entry by."""
    return b"larder:default:e:" + key


def unreadable(client):
    return client.stats().store.unreadable_entries


def get(client, key):
    return client.get(key, read_from=cache_pb2.READ_FROM_STORE).status


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_a_miss_and_stays_until_a_set(server, client, key, place, damage):
    client.set(key, b"a value that was ours")
    there = DAMAGE[damage](server.redis.command("GET", place))
    server.redis.command("SET", place, there, "PX", 600_000)
    before = unreadable(client)
    assert get(client, key) == cache_pb2.STATUS_MISS
    assert unreadable(client) == before + 1
    assert client.batch_get([key], read_from=cache_pb2.READ_FROM_STORE)[0].status == cache_pb2.STATUS_MISS
    assert unreadable(client) == before + 2
    assert client.touch(key, ttl_ms=1_000).status == cache_pb2.STATUS_MISS
    assert server.redis.command("GET", place) == there
    assert server.redis.command("PTTL", place) > 300_000
    client.set(key, b"ours again")
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"ours again"


def test_a_body_that_cannot_be_read_is_a_miss(server, client, key, place):
    client.set(key, b"a value that was ours")
    entry = server.redis.command("GET", place)
    server.redis.command("SET", place, changed(entry, FLAGS_OFFSET, COMPRESSED), "PX", 600_000)
    before = unreadable(client)
    assert get(client, key) == cache_pb2.STATUS_MISS
    assert unreadable(client) == before + 1


@pytest.mark.parametrize("damage", ["text", "newer format", "one byte short"])
def test_a_set_if_absent_replaces_it(server, client, key, place, damage):
    client.set(key, b"a value that was ours")
    server.redis.command("SET", place, DAMAGE[damage](server.redis.command("GET", place)), "PX", 600_000)
    client.set(key, b"ours again", if_absent=True)
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"ours again"


@pytest.mark.parametrize("damage", ["text", "newer format", "one byte short"])
def test_warming_leaves_it_alone(server, client, key, place, damage):
    client.set(key, b"a value that was ours")
    there = DAMAGE[damage](server.redis.command("GET", place))
    server.redis.command("SET", place, there, "PX", 600_000)
    progress = client.warm([cache_pb2.WarmRequest(key=key, value=b"warm")])
    assert (progress[-1].written, progress[-1].skipped, progress[-1].failed) == (0, 1, 0)
    assert server.redis.command("GET", place) == there


TYPES = {
    "hash": ("HSET", "field", "value"),
    "list": ("RPUSH", "element"),
    "set": ("SADD", "member"),
    "sorted set": ("ZADD", "1", "member"),
    "stream": ("XADD", "*", "field", "value"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_another_type_is_a_miss_and_stays_until_a_set(server, client, key, place, kind):
    command, *rest = TYPES[kind]
    server.redis.command(command, place, *rest)
    before = unreadable(client)
    assert get(client, key) == cache_pb2.STATUS_MISS
    assert unreadable(client) == before + 1
    assert client.touch(key, ttl_ms=1_000).status == cache_pb2.STATUS_MISS
    assert server.redis.command("TYPE", place) == {"sorted set": b"zset"}.get(kind, kind.encode())
    client.set(key, b"ours")
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"ours"


def test_an_entry_without_a_time_to_live_is_a_miss(server, client, key, place):
    client.set(key, b"value")
    server.redis.command("PERSIST", place)
    before = unreadable(client)
    assert get(client, key) == cache_pb2.STATUS_MISS
    assert unreadable(client) == before + 1


def test_invalidation_drops_it(server, client, key, place):
    server.redis.command("SET", place, "somebody else's")
    assert client.invalidate(keys=[key]).dropped == 1
    assert server.redis.command("EXISTS", place) == 0


@pytest.mark.parametrize("record", ["string", "other members", "newer format"])
def test_a_control_record_that_is_damaged_harms_nobody(start, record):
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    client.set(b"key", b"old")
    control = "larder:{default}:ctl"
    redis.command("DEL", control)
    if record == "string":
        redis.command("SET", control, "rubbish")
    elif record == "other members":
        redis.command("ZADD", control, "1", "rubbish")
    else:
        redis.command("ZADD", control, "+inf", "head:2:0123456789abcdef:somebody", "1", "epoch")
    for call in (lambda: get(client, b"key"), lambda: client.set(b"key", b"new"), lambda: client.invalidate(all=True)):
        try:
            call()
        except Exception as error:  # pylint: disable=broad-except
            assert error.code().name in ("UNAVAILABLE", "INTERNAL"), error
    redis.command("DEL", control)
    client.set(b"key", b"new")
    assert client.get(b"key", read_from=cache_pb2.READ_FROM_STORE).value == b"new"


def test_a_lost_control_record_is_a_barrier(server, client, key):
    client.set(key, b"before")
    server.redis.command("DEL", "larder:{default}:ctl")
    assert get(client, key) == cache_pb2.STATUS_MISS
    client.set(key, b"after")
    assert get(client, key) == cache_pb2.STATUS_HIT


def test_the_first_is_logged_and_the_next_are_not(start):
    redis = start.redis()
    server = start.larderd(redis=redis)
    client = server.client()
    for i in range(20):
        redis.command("SET", f"larder:default:e:{i}", "somebody else's")
        assert get(client, b"%d" % i) == cache_pb2.STATUS_MISS
    server.stop()
    warnings = [line for line in server.process.lines if line and '"warning"' in line and "read as a miss" in line]
    assert len(warnings) == 1
    assert unreadable_is_named(warnings[0])


def unreadable_is_named(line):
    return 'namespace \\"default\\"' in line
