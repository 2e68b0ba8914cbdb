"""Every call of larder.v1.Cache, on both stores."""

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import eventually, fails, refused

EVERY_BYTE = bytes(range(256))
CONFIG = {
    "defaults": {"ttl_classes": {"brief": "2s"}},
    # Near entries stay valid for as long as a test may take to look at them.
    "namespaces": {"shop": {"near_max_age": "1h"}, "asks": {"near_max_age": "0s"}, "wiped": {}, "warm": {}},
}


def item(key, value, **fields):
    return cache_pb2.SetRequest(key=key, value=value, **fields)


def warm_item(key, value, **fields):
    return cache_pb2.WarmRequest(key=key, value=value, **fields)


def version_in_trailer(error):
    return {name: value for name, value in error.trailing_metadata()}.get("larder-version")


def found_near(client, key, **fields):
    answer = client.get(key, **fields)
    return answer if answer.tier == cache_pb2.TIER_NEAR else None


def test_a_miss_is_an_answer(client, key):
    answer = client.get(key)
    assert answer == cache_pb2.GetResponse(status=cache_pb2.STATUS_MISS, incarnation=answer.incarnation)


def test_get_tells_all_about_a_hit(client, key):
    written = client.set(key, b"value", ttl_ms=60_000, content_type="text/plain", namespace="shop")
    assert written.ttl_ms == 60_000
    # A tracked Redis tells of our own writes too, so that an entry may have to be read once more.
    near = eventually(lambda: found_near(client, key, namespace="shop"), "a near hit")
    store = client.get(key, namespace="shop", read_from=cache_pb2.READ_FROM_STORE)
    assert store.tier == cache_pb2.TIER_STORE
    for hit in (near, store):
        assert hit.status == cache_pb2.STATUS_HIT
        assert hit.freshness == cache_pb2.FRESHNESS_FRESH
        assert hit.version == written.version
        assert hit.value == b"value"
        assert hit.content_type == "text/plain"
        assert 0 <= hit.age_ms < 30_000
        assert 30_000 < hit.ttl_ms <= 60_000
        assert abs(hit.age_ms + hit.ttl_ms - 60_000) <= 50


def test_age_rises_and_ttl_falls(client, key):
    client.set(key, b"value", ttl_ms=60_000)
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        first = client.get(key, read_from=read_from)
        later = eventually(
            lambda: next((hit for hit in [client.get(key, read_from=read_from)] if hit.age_ms > first.age_ms), None),
            "a greater age",
        )
        assert later.ttl_ms < first.ttl_ms


def test_an_entry_is_gone_after_its_ttl(client, key):
    client.set(key, b"value", ttl_ms=100)
    eventually(lambda: client.get(key).status == cache_pb2.STATUS_MISS, "the end of the entry")
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).status == cache_pb2.STATUS_MISS


def test_a_ttl_class_gives_its_ttl(client, key):
    assert client.set(key, b"", ttl_class="brief").ttl_ms == 2_000
    assert client.set(key, b"", ttl_class="realtime").ttl_ms == 60_000
    assert client.set(key, b"", ttl_class="analytics").ttl_ms == 1_800_000
    assert client.set(key, b"").ttl_ms == 300_000


def test_a_near_age_of_zero_always_asks_a_shared_store(client, key, store):
    client.set(key, b"value", namespace="asks")
    expected = cache_pb2.TIER_NEAR if store == "embedded" else cache_pb2.TIER_STORE
    for _ in range(3):
        assert client.get(key, namespace="asks").tier == expected


@pytest.mark.parametrize("read_from", [cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE])
def test_every_byte_may_stand_in_keys_and_values(client, read_from):
    client.set(EVERY_BYTE, EVERY_BYTE[::-1])
    assert client.get(EVERY_BYTE, read_from=read_from).value == EVERY_BYTE[::-1]
    for byte in EVERY_BYTE:
        client.set(bytes([byte]), bytes([byte]) * 3)
    for byte in EVERY_BYTE:
        assert client.get(bytes([byte]), read_from=read_from).value == bytes([byte]) * 3


@pytest.mark.parametrize("read_from", [cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE])
def test_an_empty_value_is_a_value(client, key, read_from):
    client.set(key, b"")
    hit = client.get(key, read_from=read_from)
    assert (hit.status, hit.value) == (cache_pb2.STATUS_HIT, b"")


@pytest.mark.parametrize("size", [511, 512, 513, 4095, 4096, 4097, 65_536, 1_000_000])
def test_values_of_any_size_come_back(client, key, size):
    compressible = b"a sentence that repeats itself. " * (size // 32 + 1)
    random = b"".join(((i * 2654435761) % 2**32).to_bytes(4, "big") for i in range(size // 4 + 1))
    for value in (compressible[:size], random[:size]):
        client.set(key, value)
        assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == value


def test_namespaces_are_apart(client, key):
    client.set(key, b"in default")
    assert client.get(key, namespace="shop").status == cache_pb2.STATUS_MISS
    assert client.get(key, namespace="default").value == b"in default"


def test_versions_are_never_used_twice(client, key):
    versions = {client.set(key, b"same").version for _ in range(50)}
    assert len(versions) == 50


def test_if_absent(client, key):
    version = client.set(key, b"first", if_absent=True).version
    message = f"the condition does not hold: the entry's version is {version}"
    with fails(grpc.StatusCode.ABORTED, message) as caught:
        client.set(key, b"second", if_absent=True)
    assert version_in_trailer(caught[0]) == str(version)
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"first"


def test_if_present(client, key):
    with fails(grpc.StatusCode.ABORTED, "the condition does not hold: there is no entry") as caught:
        client.set(key, b"first", if_present=True)
    assert version_in_trailer(caught[0]) is None
    assert client.get(key).status == cache_pb2.STATUS_MISS
    client.set(key, b"first")
    client.set(key, b"second", if_present=True)
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"second"


def test_if_version(client, key):
    first = client.set(key, b"first").version
    second = client.set(key, b"second", if_version=first).version
    with fails(grpc.StatusCode.ABORTED) as caught:
        client.set(key, b"third", if_version=first)
    assert version_in_trailer(caught[0]) == str(second)
    assert client.get(key, read_from=cache_pb2.READ_FROM_STORE).value == b"second"
    client.invalidate(keys=[key])
    with fails(grpc.StatusCode.ABORTED) as caught:
        client.set(key, b"third", if_version=second)
    assert version_in_trailer(caught[0]) is None


@pytest.mark.parametrize("field", ["if_absent", "if_present"])
def test_a_condition_that_is_false_is_refused(client, key, field):
    with refused(f"{field}: must be true where it is set"):
        client.set(key, b"", **{field: False})


def test_invalidate_drops_keys_and_counts_them(client, key):
    keys = [key + bytes([i]) for i in range(10)]
    for each in keys[:7]:
        client.set(each, b"value")
    assert client.invalidate(keys=keys).dropped == 7
    for each in keys:
        assert client.get(each).status == cache_pb2.STATUS_MISS
        assert client.get(each, read_from=cache_pb2.READ_FROM_STORE).status == cache_pb2.STATUS_MISS
    assert client.invalidate(keys=keys).dropped == 0


def test_invalidate_all_drops_the_namespace_and_no_other(client, key):
    keys = [key + bytes([i]) for i in range(20)]
    client.batch_set([item(each, b"old") for each in keys], namespace="wiped")
    client.set(key, b"stays")
    client.invalidate(all=True, namespace="wiped")
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        results = client.batch_get(keys, namespace="wiped", read_from=read_from)
        assert {result.status for result in results} == {cache_pb2.STATUS_MISS}
    assert client.get(key).value == b"stays"
    client.set(keys[0], b"new", namespace="wiped", if_absent=True)
    assert client.get(keys[0], namespace="wiped", read_from=cache_pb2.READ_FROM_STORE).value == b"new"


def test_invalidate_takes_keys_and_all_together(client, key):
    client.batch_set([item(key, b"1"), item(key + b"2", b"2")], namespace="wiped")
    assert client.invalidate(keys=[key], all=True, namespace="wiped").dropped == 1
    assert client.get(key + b"2", namespace="wiped").status == cache_pb2.STATUS_MISS


def test_batch_get_answers_in_order(client, key):
    keys = [key + b"-%d" % i for i in range(100)]
    for i in range(0, 100, 2):
        client.set(keys[i], b"value %d" % i, content_type="n/%d" % i)
    asked = keys[::-1] + [keys[4], keys[4]]
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        results = client.batch_get(asked, read_from=read_from)
        assert len(results) == len(asked)
        for wanted, result in zip(asked, results):
            i = keys.index(wanted)
            if i % 2:
                assert result == cache_pb2.GetResponse(status=cache_pb2.STATUS_MISS)
            else:
                assert (result.status, result.value) == (cache_pb2.STATUS_HIT, b"value %d" % i)
                assert result.content_type == "n/%d" % i
    assert {r.tier for r in client.batch_get(keys[::2], read_from=cache_pb2.READ_FROM_STORE)} == {cache_pb2.TIER_STORE}


def test_batch_set_lets_each_entry_succeed_or_fail_alone(client, key):
    there = client.set(key + b"there", b"old").version
    results = client.batch_set(
        [
            item(key + b"new", b"1", ttl_ms=5_000),
            item(key + b"there", b"2", if_absent=True),
            item(key + b"absent", b"3", if_present=True),
            item(key + b"class", b"4", ttl_class="brief", namespace="default"),
        ],
        namespace="default",
    )
    assert [result.code for result in results] == [0, 10, 10, 0]
    refusal = "the condition does not hold"
    assert [result.message for result in results] == ["", refusal, refusal, ""]
    assert [result.ttl_ms for result in results] == [5_000, 0, 0, 2_000]
    assert results[1].version == there
    assert results[2].version == 0
    assert client.get(key + b"new", read_from=cache_pb2.READ_FROM_STORE).version == results[0].version
    assert client.get(key + b"there").value == b"old"


def test_batches_of_a_thousand_work(client, key):
    keys = [key + b"-%d" % i for i in range(1000)]
    results = client.batch_set([item(each, each * 2) for each in keys])
    assert [result.code for result in results] == [0] * 1000
    answers = client.batch_get(keys, read_from=cache_pb2.READ_FROM_STORE)
    assert [answer.value for answer in answers] == [each * 2 for each in keys]
    assert client.invalidate(keys=keys).dropped == 1000


def test_touch_gives_a_new_ttl_and_keeps_the_version(client, key):
    version = client.set(key, b"value", ttl_ms=5_000).version
    touched = client.touch(key, ttl_ms=600_000)
    assert (touched.status, touched.version, touched.ttl_ms) == (cache_pb2.STATUS_HIT, version, 600_000)
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        hit = client.get(key, read_from=read_from)
        assert (hit.version, hit.value) == (version, b"value")
        assert 500_000 < hit.ttl_ms <= 600_000
    assert client.touch(key, ttl_class="brief").ttl_ms == 2_000
    assert client.get(key).ttl_ms <= 2_000


def test_touch_of_nothing_is_a_miss(client, key):
    assert client.touch(key, ttl_ms=1_000) == cache_pb2.TouchResponse(status=cache_pb2.STATUS_MISS)
    assert client.get(key).status == cache_pb2.STATUS_MISS


def test_warm_fills_gaps_and_reports(client, key):
    client.set(key + b"3", b"was there", namespace="warm")
    entries = [warm_item(key + b"%d" % i, b"value %d" % i, namespace="warm") for i in range(500)]
    progress = client.warm(entries)
    assert [message.finished for message in progress] == [False] * (len(progress) - 1) + [True]
    last = progress[-1]
    assert (last.written, last.skipped, last.failed) == (499, 1, 0)
    sizes = [len(entry.key) + len(entry.value) for i, entry in enumerate(entries) if i != 3]
    assert last.written_bytes == sum(sizes)
    assert last.elapsed_ms >= 0 and last.entries_per_second > 0
    dealt_with = [message.written + message.skipped + message.failed for message in progress]
    assert dealt_with == sorted(dealt_with)
    assert client.get(key + b"3", namespace="warm").value == b"was there"
    assert client.get(key + b"499", namespace="warm", read_from=cache_pb2.READ_FROM_STORE).value == b"value 499"


def test_warm_goes_on_after_bad_entries(client, key):
    bad = {2: warm_item(b"", b""), 4: warm_item(key + b"-4", b"", ttl_ms=-1)}
    bad[6] = warm_item(key + b"-6", b"", namespace="nowhere")
    entries = [bad.get(i, warm_item(key + b"-%d" % i, b"value")) for i in range(10)]
    progress = client.warm(entries)
    failures = {failure.index: failure for message in progress for failure in message.failures}
    assert (progress[-1].written, progress[-1].failed) == (7, 3)
    assert {index: failure.code for index, failure in failures.items()} == {2: 3, 4: 3, 6: 3}
    assert failures[2].message == "key: empty, must be 1 to 512 bytes"
    assert failures[4].message == "ttl_ms: -1, must be 1 to 604800000"
    assert failures[6].message == 'namespace: "nowhere" is not configured'
    assert failures[6].key == key + b"-6"
    assert client.get(key + b"-9").status == cache_pb2.STATUS_HIT


def test_warm_lists_no_more_than_a_hundred_failures_a_message(client):
    progress = client.warm(warm_item(b"", b"") for _ in range(1_000))
    assert progress[-1].failed == 1_000
    assert max(len(message.failures) for message in progress) <= 100
    listed = sorted(failure.index for message in progress for failure in message.failures)
    assert listed == list(range(1_000))


def test_warm_of_nothing_ends(client):
    progress = client.warm([])
    assert len(progress) == 1 and progress[0].finished


def test_stats_count_what_was_done(start, store):
    server = start.larderd(
        # By age, so that no news of our own writes comes in between.
        {"near": {"coherence": "age"}, "namespaces": {"other": {}, "counted": {"near_max_age": "1h"}}},
        redis=start.redis() if store == "redis" else None,
    )
    client = server.client()
    version = client.set(b"a", b"1", namespace="counted").version
    client.set(b"b", b"2", namespace="counted", if_absent=True)
    with fails(grpc.StatusCode.ABORTED):
        client.set(b"a", b"3", namespace="counted", if_version=version + 1)
    for _ in range(3):
        client.get(b"a", namespace="counted")
    client.get(b"a", namespace="counted", read_from=cache_pb2.READ_FROM_STORE)
    client.get(b"nothing", namespace="counted")
    client.batch_get([b"a", b"b", b"nothing"], namespace="counted")
    client.touch(b"a", namespace="counted", ttl_ms=1_000)
    client.invalidate(keys=[b"a", b"b"], namespace="counted")
    client.invalidate(all=True, namespace="counted")
    with refused("key: empty, must be 1 to 512 bytes"):
        client.get(b"", namespace="counted")
    stats = client.stats("counted")
    (counted,) = stats.namespaces
    assert counted.name == "counted"
    # A write that was refused for its condition has emptied the near tier of its key, so the first Get asks the store.
    assert (counted.near_hits, counted.store_hits, counted.misses) == (4, 2, 2)
    assert counted.hit_ratio == pytest.approx(6 / 8)
    assert (counted.sets, counted.sets_aborted, counted.set_errors, counted.get_errors) == (2, 1, 0, 0)
    assert (counted.touches, counted.invalidated_keys, counted.invalidated_all) == (1, 2, 1)
    assert counted.refused == 1
    assert counted.near_entries == 0
    assert 0 < counted.near_capacity_bytes
    assert counted.near_hit_latency.count >= 2
    assert counted.set_latency.count == 2
    assert 0 < counted.set_latency.p50_us <= counted.set_latency.p999_us
    assert stats.total.near_hits == 4 and stats.total.name == ""
    assert [space.name for space in client.stats().namespaces] == ["counted", "default", "other"]
    assert stats.server_version and stats.uptime_ms >= 0
    with refused('namespace: "nowhere" is not configured'):
        client.stats("nowhere")


def test_stats_tell_of_the_store(client, key, server, store):
    client.set(key, b"value")
    told = client.stats().store
    assert (told.kind, told.state, told.detail) == (store, "ready", "")
    assert told.keys >= 1
    assert told.used_memory_bytes > 0
    if store == "embedded":
        assert told.coherence_mode == "exclusive"
        assert told.redis_version == ""
        assert told.max_memory_bytes > 0
    else:
        assert told.coherence_mode == "tracking"
        assert b"redis_version:" + told.redis_version.encode() in server.redis.command("INFO", "server")
        assert told.eviction_policy == "noeviction"
        assert told.round_trip_us > 0
        assert told.disconnects == 0
        assert told.unreadable_entries == 0
