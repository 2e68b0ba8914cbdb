"""What bad input gets: INVALID_ARGUMENT with the field and the limit, and nothing stored."""

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import fails, refused

MIB = 1 << 20
CONFIG = {
    "namespaces": {
        "small": {"max_key_bytes": 8, "max_value_bytes": 16, "max_batch_keys": 3, "max_ttl": "1h"},
    }
}
TOO_LONG = b"k" * 513


def calls_with_a_key(client, **fields):
    """Each call that names keys, as a function of one key."""
    return {
        "get": lambda key: client.get(key, **fields),
        "set": lambda key: client.set(key, b"value", **fields),
        "touch": lambda key: client.touch(key, **fields),
        "invalidate": lambda key: client.invalidate(keys=[b"good", key], **fields),
        "batch_get": lambda key: client.batch_get([b"good", key], **fields),
        "batch_set": lambda key: client.batch_set([item(b"good", b"1"), item(key, b"2")], **fields),
    }


def item(key, value, **fields):
    return cache_pb2.SetRequest(key=key, value=value, **fields)


def in_the_batch(call):
    """How the answer to a batch names its second key."""
    return {"batch_get": "keys[1]: ", "batch_set": "entries[1]: ", "invalidate": "keys[1]: "}.get(call, "")


EVERY_CALL = ["get", "set", "touch", "invalidate", "batch_get", "batch_set"]


@pytest.mark.parametrize("call", EVERY_CALL)
def test_an_empty_key_is_refused(client, call):
    with refused(in_the_batch(call) + "key: empty, must be 1 to 512 bytes"):
        calls_with_a_key(client)[call](b"")
    assert client.get(b"good").status == cache_pb2.STATUS_MISS


@pytest.mark.parametrize("call", EVERY_CALL)
def test_a_key_of_513_bytes_is_refused_and_one_of_512_is_not(client, call):
    with refused(in_the_batch(call) + "key: 513 bytes, the limit is 512"):
        calls_with_a_key(client)[call](TOO_LONG)
    assert client.get(b"good").status == cache_pb2.STATUS_MISS
    calls_with_a_key(client)[call](TOO_LONG[:512])
    client.invalidate(keys=[b"good", TOO_LONG[:512]])


def test_a_key_of_512_bytes_keeps_its_value(client):
    key = bytes(range(256)) * 2
    client.set(key, b"value")
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"value"


@pytest.mark.parametrize("call", EVERY_CALL)
def test_an_unknown_namespace_is_refused(client, call):
    with refused('namespace: "nowhere" is not configured'):
        calls_with_a_key(client, namespace="nowhere")[call](b"key")


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize("name", ["Upper", "a b", "a" * 64, "ä", "a/b", "a\0b"])
def test_a_namespace_that_is_no_name_is_refused(client, call, name):
    with refused("namespace: must match [a-z0-9_-]{1,63}"):
        calls_with_a_key(client, namespace=name)[call](b"key")


@pytest.mark.parametrize("ttl_ms", [0, -1, -(2**63), 604_800_001, 2**63 - 1])
def test_a_ttl_out_of_range_is_refused(client, key, ttl_ms):
    message = f"ttl_ms: {ttl_ms}, must be 1 to 604800000"
    with refused(message):
        client.set(key, b"value", ttl_ms=ttl_ms)
    with refused(message):
        client.touch(key, ttl_ms=ttl_ms)
    with refused("entries[0]: " + message):
        client.batch_set([item(key, b"value", ttl_ms=ttl_ms)])
    assert client.get(key).status == cache_pb2.STATUS_MISS


def test_the_longest_ttl_is_taken(client, key):
    assert client.set(key, b"value", ttl_ms=604_800_000).ttl_ms == 604_800_000
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).ttl_ms > 604_700_000
    assert client.set(key, b"value", ttl_ms=1).ttl_ms == 1


def test_an_unknown_ttl_class_is_refused_with_those_there_are(client, key):
    message = (
        'ttl_class: "weekly" is not a class of namespace "default" '
        "(it has: analytics, default, realtime, static, user)"
    )
    with refused(message):
        client.set(key, b"value", ttl_class="weekly")
    with refused(message):
        client.touch(key, ttl_class="weekly")


def test_a_value_over_the_limit_is_refused_and_one_at_the_limit_is_not(client, key):
    at_the_limit = bytes(range(256)) * (MIB // 256)
    client.set(key, at_the_limit)
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        assert client.get(key, read_from=read_from).value == at_the_limit
    message = "value: 1048577 bytes, the limit is 1048576"
    with refused(message):
        client.set(key, at_the_limit + b"!")
    with refused("entries[1]: " + message):
        client.batch_set([item(key, b"not stored"), item(key + b"2", at_the_limit + b"!")])
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == at_the_limit


def test_a_content_type_over_the_limit_is_refused(client, key):
    client.set(key, b"value", content_type="c" * 255)
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).content_type == "c" * 255
    with refused("content_type: 256 bytes, the limit is 255"):
        client.set(key, b"value", content_type="c" * 256)


def test_a_batch_of_1001_is_refused_and_nothing_is_stored(client, key):
    keys = [key + b"%d" % i for i in range(1_001)]
    with refused("keys: 1001, the limit is 1000"):
        client.batch_get(keys)
    with refused("keys: 1001, the limit is 1000"):
        client.invalidate(keys=keys)
    with refused("entries: 1001, the limit is 1000"):
        client.batch_set([item(each, b"value") for each in keys])
    assert {result.status for result in client.batch_get(keys[:1_000])} == {cache_pb2.STATUS_MISS}


def test_an_empty_batch_is_refused(client):
    with refused("keys: empty, must be 1 to 1000"):
        client.batch_get([])
    with refused("entries: empty, must be 1 to 1000"):
        client.batch_set([])
    with refused("keys: none named, and `all` not set"):
        client.invalidate()


def test_a_batch_is_of_one_namespace(client, key):
    with refused("entries[1]: namespace: must be empty or that of the batch"):
        client.batch_set([item(key, b"1"), item(key, b"2", namespace="small")], namespace="default")
    assert client.get(key).status == cache_pb2.STATUS_MISS


def test_a_namespace_may_say_less(client):
    with refused("key: 9 bytes, the limit is 8"):
        client.set(b"k" * 9, b"", namespace="small")
    with refused("value: 17 bytes, the limit is 16"):
        client.set(b"k", b"v" * 17, namespace="small")
    with refused("keys: 4, the limit is 3"):
        client.batch_get([b"1", b"2", b"3", b"4"], namespace="small")
    with refused("ttl_ms: 3600001, must be 1 to 3600000"):
        client.set(b"k", b"", namespace="small", ttl_ms=3_600_001)
    client.set(b"k" * 8, b"v" * 16, namespace="small", ttl_ms=3_600_000)


def test_an_unknown_place_to_read_from_is_refused(client, key):
    with refused("read_from: 7 is not known"):
        client.get(key, read_from=7)
    with refused("read_from: 7 is not known"):
        client.batch_get([key], read_from=7)


def test_a_version_of_zero_is_refused(client, key):
    with refused("if_version: 0 is no entry's version"):
        client.set(key, b"value", if_version=0)


@pytest.mark.parametrize("method", ["Get", "Set", "Invalidate", "BatchGet", "BatchSet", "Touch", "Stats"])
def test_bytes_that_are_no_message_are_refused(client, method):
    call = client.channel.unary_unary(f"/larder.v1.Cache/{method}")
    for rubbish in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x05abc", bytes(range(256))):
        with refused(f"the request is not a valid larder.v1.{method}Request"):
            call(rubbish, timeout=client.timeout)


def test_a_request_over_the_message_limit_is_refused_by_grpc(client, key):
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED):
        client.set(key, b"v" * (17 * MIB))
    assert client.get(key).status == cache_pb2.STATUS_MISS


def test_an_unknown_method_is_unimplemented(client):
    with fails(grpc.StatusCode.UNIMPLEMENTED):
        client.channel.unary_unary("/larder.v1.Cache/Nothing")(b"", timeout=client.timeout)


@pytest.mark.parametrize("read_from", [cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE])
def test_what_does_not_fit_into_an_answer_is_asked_for_again(client, key, read_from):
    values = {key + b"%d" % i: bytes([i]) * MIB for i in range(10)}
    for each, value in values.items():
        client.set(each, value)
    # This client, like any that changes nothing, takes no message above 4 MiB.
    left, got, rounds = list(values), {}, 0
    while left:
        results = client.batch_get(left + [key + b"none"], read_from=read_from)
        assert results[-1].status == cache_pb2.STATUS_MISS
        for each, result in zip(left, results):
            if result.status == cache_pb2.STATUS_RETRY:
                assert result == cache_pb2.GetResponse(status=cache_pb2.STATUS_RETRY)
            else:
                assert result.status == cache_pb2.STATUS_HIT
                got[each] = result.value
        now_left = [each for each in left if each not in got]
        assert len(now_left) < len(left)
        left, rounds = now_left, rounds + 1
    assert got == values
    assert rounds == 4


def test_refusals_are_counted(start):
    client = start.larderd().client()
    for _ in range(3):
        with refused("key: empty, must be 1 to 512 bytes"):
            client.get(b"")
    assert client.stats().total.refused == 3
