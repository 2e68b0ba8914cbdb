"""Changes of the configuration while the server runs, and the switch that turns the cache off."""

import signal

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import eventually, fails, refused

READ_FROM_STORE = cache_pb2.READ_FROM_STORE
IN_FORCE = "policies are in force"
REFUSED = "the changed configuration is not good; going on with the one in force"


@pytest.fixture(name="begin")
def fixture_begin(start, store):
    """Starts a server of the store with a configuration."""
    return lambda config=None, environment=None: start.larderd(
        config, environment, redis=start.redis() if store == "redis" else None
    )


def reload(server, config):
    """Writes a configuration with another policy, sends SIGHUP, and returns once it is in force."""
    # The server may have noticed by itself before the signal comes, and then applies nothing for it.
    before = len(server.process.lines)
    server.write_config(config)
    server.process.send(signal.SIGHUP)
    server.wait_for_log("applying a change of policy", after=before)
    server.wait_for_log(IN_FORCE, after=before)


def test_a_changed_class_and_limit_apply(begin):
    server = begin({"defaults": {"ttl_classes": {"brief": "2s"}, "max_value_bytes": 100}})
    client = server.client()
    assert client.set(b"key", b"v" * 100, ttl_class="brief").ttl_ms == 2_000
    reload(server, {"defaults": {"ttl_classes": {"brief": "4s", "new": "9s"}, "max_value_bytes": 50}})
    assert client.set(b"key", b"v" * 50, ttl_class="brief").ttl_ms == 4_000
    assert client.set(b"key", b"v" * 50, ttl_class="new").ttl_ms == 9_000
    with refused("value: 51 bytes, the limit is 50"):
        client.set(b"key", b"v" * 51)
    changes = {log["change"] for log in server.logs("applying a change of policy")}
    assert "namespaces.default.max_value_bytes: 100 -> 50" in changes
    assert not server.logs("changed in the configuration, but needs a restart")


def test_what_needs_a_restart_is_told_and_left(begin):
    server = begin({"grpc": {"drain_timeout": "9s"}})
    client = server.client()
    reload(server, {"grpc": {"drain_timeout": "8s", "max_concurrent_streams": 500}, "defaults": {"max_ttl": "1h"}})
    told = {log["change"] for log in server.logs("changed in the configuration, but needs a restart")}
    assert {change.split(":")[0] for change in told} == {"grpc.drain_timeout", "grpc.max_concurrent_streams"}
    with refused("ttl_ms: 3600001, must be 1 to 3600000"):
        client.set(b"key", b"value", ttl_ms=3_600_001)


@pytest.mark.parametrize("text", ["grpc: [", "defaults:\n  no_such_field: 1\n", "defaults:\n  max_ttl: 0s\n"])
def test_a_broken_file_is_refused_and_the_old_one_stays(begin, text):
    server = begin({"defaults": {"ttl_classes": {"brief": "2s"}}})
    client = server.client()
    server.replace_config_text(text)
    server.process.send(signal.SIGHUP)
    assert str(server.config_file) in server.wait_for_log(REFUSED)["error"]
    assert client.set(b"key", b"value", ttl_class="brief").ttl_ms == 2_000
    assert not server.logs(IN_FORCE)
    reload(server, {"defaults": {"ttl_classes": {"brief": "3s"}}})
    assert client.set(b"key", b"value", ttl_class="brief").ttl_ms == 3_000


def test_a_changed_file_is_noticed_without_a_signal(start):
    server = start.larderd({"defaults": {"default_ttl": "1m"}})
    client = server.client()
    server.write_config({"defaults": {"default_ttl": "2m"}})
    server.wait_for_log(IN_FORCE)
    assert client.set(b"key", b"value").ttl_ms == 120_000
    server.replace_config_text("grpc: [")
    server.wait_for_log(REFUSED)
    assert client.set(b"key", b"value").ttl_ms == 120_000


def test_switching_off_and_on_again_loses_what_was_there(begin):
    server = begin()
    client = server.client()
    for i in range(10):
        client.set(b"old%d" % i, b"value")
    reload(server, {"defaults": {"enabled": False}})
    check_disabled(client, b"old0")
    client.set(b"meanwhile", b"value")
    reload(server, {"defaults": {"enabled": True}})
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, READ_FROM_STORE):
        for key in [b"old%d" % i for i in range(10)] + [b"meanwhile"]:
            assert client.get(key, read_from=read_from).status == cache_pb2.STATUS_MISS, key
    client.set(b"new", b"value")
    assert client.get(b"new", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_HIT


def test_one_namespace_can_be_switched_off_alone(begin):
    server = begin({"namespaces": {"shop": {}}})
    client = server.client()
    client.set(b"key", b"value")
    client.set(b"key", b"value", namespace="shop")
    reload(server, {"namespaces": {"shop": {"enabled": False}}})
    assert client.get(b"key").status == cache_pb2.STATUS_HIT
    assert client.get(b"key", namespace="shop").status == cache_pb2.STATUS_MISS
    reload(server, {"namespaces": {"shop": {}}})
    assert client.get(b"key").status == cache_pb2.STATUS_HIT
    assert client.get(b"key", namespace="shop", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_MISS


def check_disabled(client, there):
    """Every call answers, nothing is found, nothing is stored."""
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, READ_FROM_STORE):
        assert client.get(there, read_from=read_from).status == cache_pb2.STATUS_MISS
        assert client.batch_get([there], read_from=read_from)[0].status == cache_pb2.STATUS_MISS
    client.set(b"off", b"value")
    client.set(b"off", b"value", if_absent=True)
    with fails(grpc.StatusCode.ABORTED, "the condition does not hold: there is no entry"):
        client.set(b"off", b"value", if_present=True)
    (result,) = client.batch_set([cache_pb2.SetRequest(key=b"off", value=b"value")])
    assert result.code == 0
    assert client.get(b"off").status == cache_pb2.STATUS_MISS
    assert client.touch(b"off").status == cache_pb2.STATUS_MISS
    client.invalidate(keys=[b"off"])
    with refused("key: empty, must be 1 to 512 bytes"):
        client.get(b"")


@pytest.mark.parametrize("variable", [{"CACHE_ENABLED": "false"}, {"DISABLE_CACHE": "true"}])
def test_the_environment_can_switch_it_off(begin, variable):
    client = begin(environment=variable).client()
    check_disabled(client, b"key")
    client.invalidate(all=True)
    total = client.stats().total
    assert (total.near_hits, total.store_hits, total.near_entries) == (0, 0, 0)


def test_while_off_invalidations_reach_the_store(start):
    redis = start.redis()
    on = start.larderd(redis=redis).client()
    off = start.larderd(environment={"CACHE_ENABLED": "false"}, redis=redis).client()
    on.set(b"dropped", b"value")
    on.set(b"overwritten", b"value")
    assert off.invalidate(keys=[b"dropped"]).dropped == 1
    off.set(b"overwritten", b"newer")
    assert on.get(b"dropped", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_MISS
    # What is not stored must not leave an older value to be found either.
    assert on.get(b"overwritten", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_MISS
    on.set(b"wiped", b"value")
    off.invalidate(all=True)
    assert on.get(b"wiped", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_MISS


def test_reloading_under_load_disturbs_no_call(begin):
    server = begin()
    client = server.client()
    for round_number in range(5):
        pending = [
            client.cache.Set.future(cache_pb2.SetRequest(key=b"%d" % i, value=b"value"), timeout=client.timeout)
            for i in range(100)
        ]
        reload(server, {"defaults": {"default_ttl": f"{round_number + 1}m"}})
        assert {call.result().ttl_ms % 60_000 for call in pending} == {0}
    eventually(lambda: client.set(b"key", b"value").ttl_ms == 300_000, "the last policy")
