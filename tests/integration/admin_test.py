"""Looking into the cache: larder.v1.Admin and `larder inspect` and `larder list`, against both stores."""

import base64
import json
import re
import signal
import threading

import grpc
import health_pb2
import pytest
from larder.v1 import admin_pb2, admin_pb2_grpc, cache_pb2

from harness import PATIENCE, eventually, fails, refused, run_larder, total

CONFIG = {
    "namespaces": {"shop": {"stale_for": "1m"}, "listed": {}, "bytes": {}, "other": {}},
    # What was invalidated is to be looked at before it is swept.
    "sweep": {"interval": "1h"},
}
FROM_STORE = cache_pb2.READ_FROM_STORE
SOFT = cache_pb2.INVALIDATION_MODE_SOFT
ANY_BYTES = [b"\0", bytes(range(256)), b"\r\n", b"*", b"?", b"[a]", b"a", b"\\", b'"', b" "]
ANY_BYTES += [b"\xff" * 512, "größe".encode()]


class Admin:
    """The calls as functions of their requests' fields."""

    def __init__(self, client):
        self.stub = admin_pb2_grpc.AdminStub(client.channel)

    def inspect(self, key, **fields):
        return self.stub.Inspect(admin_pb2.InspectRequest(key=key, **fields), timeout=PATIENCE)

    def list(self, **fields):
        return self.stub.List(admin_pb2.ListRequest(**fields), timeout=PATIENCE)

    def invalidate_everything(self, **fields):
        return self.stub.InvalidateEverything(admin_pb2.InvalidateEverythingRequest(**fields), timeout=PATIENCE)

    def sweeps(self):
        answer = self.stub.Sweeps(admin_pb2.SweepsRequest(), timeout=PATIENCE)
        return {sweep.namespace: sweep for sweep in answer.sweeps}


def list_all(admins, **fields):
    """Every key that comes, with the servers asked in turn for the pages."""
    found, pages, page = [], set(), b""
    while True:
        answer = admins[len(pages) % len(admins)].list(page=page, **fields)
        found += answer.keys
        page = answer.next_page
        if not page:
            return found
        assert page not in pages
        pages.add(page)


@pytest.fixture(name="admin")
def fixture_admin(client):
    return Admin(client)


@pytest.fixture(name="larder")
def fixture_larder(server):
    """Runs the tool in a namespace and checks its exit code."""

    def run(*arguments, code=0):
        done = run_larder("--namespace", "shop", *arguments, port=server.port)
        assert done.returncode == code, done
        return done

    return run


def json_lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nothing(admin, key):
    found = admin.inspect(key)
    assert (found.verdict, found.reason) == (admin_pb2.VERDICT_NONE, "a miss: nothing is stored under the key")
    assert not found.HasField("near") and not found.HasField("store")


def test_a_fresh_entry(client, admin, key):
    times = {"ttl_ms": 60_000, "stale_for_ms": 30_000}
    written = client.set(key, b"v" * 100, namespace="shop", tags=["a", "b"], content_type="text/plain", **times)
    found = admin.inspect(key, namespace="shop")
    assert found.verdict == admin_pb2.VERDICT_FRESH
    assert re.search(r"served: fresh for another (5\d|1 min)[^,]*, then stale for (29|30)", found.reason), found.reason
    store = found.store
    assert (store.version, list(store.tags), store.content_type) == (written.version, ["a", "b"], "text/plain")
    assert 0 < store.ttl_ms <= 60_000 < store.hard_ttl_ms <= 90_000
    assert store.generation == found.clock.generation != 0
    assert store.stored_bytes >= 100 and not store.absent and store.lease_ttl_ms == 0


def test_an_absence_and_a_sliding_entry(client, admin, key):
    client.set(key, b"", namespace="shop", absent=True)
    found = admin.inspect(key, namespace="shop")
    assert found.verdict == admin_pb2.VERDICT_FRESH and found.store.absent
    assert found.reason.startswith("served as known to be absent: fresh for another ")
    client.set(key, b"v", namespace="shop", ttl_ms=60_000, sliding=True)
    assert admin.inspect(key, namespace="shop").store.sliding_ttl_ms == 60_000


def test_it_is_not_counted_as_a_read(client, admin, key):
    client.set(key, b"v", namespace="shop")
    client.get(key, namespace="shop", read_from=FROM_STORE)
    before = client.stats("shop").total
    assert admin.inspect(key, namespace="shop").verdict == admin_pb2.VERDICT_FRESH
    admin.list(namespace="shop")
    after = client.stats("shop").total
    read = lambda stats: (stats.near_hits, stats.store_hits, stats.misses, stats.touches)
    assert read(before) == read(after)


def test_a_hit_of_the_near_tier(store, client, admin, key):
    client.set(key, b"v", namespace="shop")

    def near():
        # The news of the Set may drop the first copy.
        hit = client.get(key, namespace="shop", read_from=FROM_STORE)
        found = admin.inspect(key, namespace="shop")
        return (hit, found) if "; this replica's near tier answers" in found.reason else None

    hit, found = eventually(near, "a copy that is young")
    assert found.near.version == found.store.version == hit.version
    assert found.reason.startswith("served: fresh for another ")
    assert ", and asks the store again in " not in found.reason


def test_a_hit_of_the_near_tier_that_goes_by_its_age(start):
    server = start.larderd({"near": {"coherence": "age"}, "defaults": {"near_max_age": "1h"}}, redis=start.redis())
    server.client().set(b"key", b"v")
    found = Admin(server.client()).inspect(b"key")
    assert "; this replica's near tier answers, and asks the store again in " in found.reason


def test_stale_by_time_and_who_loads_it(client, admin, key):
    client.set(key, b"v", namespace="shop", ttl_ms=1)
    eventually(lambda: admin.inspect(key, namespace="shop").verdict == admin_pb2.VERDICT_STALE, "it to become stale")
    found = admin.inspect(key, namespace="shop")
    assert re.match(r"served as stale: soft expiry .* ago, until (5\d\.\d|1 min 0) s from now", found.reason)
    assert found.store.ttl_ms == 0 < found.store.hard_ttl_ms <= 60_001
    lease = client.get(key, namespace="shop", want_lease=True, read_from=FROM_STORE).lease
    assert lease.token
    found = eventually(
        lambda: (found := admin.inspect(key, namespace="shop")).store.lease_ttl_ms > 0 and found, "the lease to be seen"
    )
    assert "; it is being loaded anew, or that has just failed: nobody else is to try for another " in found.reason
    assert found.store.lease_ttl_ms <= lease.ttl_ms


def test_a_lease_is_told_without_its_token(client, admin, key):
    miss = client.get(key, namespace="shop", want_lease=True)
    assert miss.lease.token
    found = admin.inspect(key, namespace="shop")
    assert found.verdict == admin_pb2.VERDICT_LEASED
    told = r"leased: nothing is stored yet, somebody has the right to load it for another (\d|10)\.\d s"
    assert re.fullmatch(told, found.reason), found.reason
    assert 0 < found.store.lease_ttl_ms <= 10_000
    assert found.store.version == 0
    client.set(key, b"v", namespace="shop", lease=miss.lease.token)
    assert admin.inspect(key, namespace="shop").verdict == admin_pb2.VERDICT_FRESH


@pytest.mark.parametrize(
    "group, name",
    [
        ({"tags": ["client:7"]}, 'tag "client:7"'),
        ({"patterns": [b"*:dead"]}, 'pattern "*:dead"'),
        ({"all": True}, "the whole namespace"),
    ],
    ids=["tag", "pattern", "all"],
)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_the_invalidation_is_named(client, admin, key, group, name, soft):
    key += b":dead"
    client.set(key, b"v", namespace="shop", tags=["client:7"])
    epoch = admin.inspect(key, namespace="shop").clock.epoch
    client.invalidate(namespace="shop", mode=SOFT if soft else 0, **group)
    found = admin.inspect(key, namespace="shop")
    assert found.clock.epoch == epoch + 1
    told = f"{name} was invalidated ({'SOFT' if soft else 'HARD'}) at epoch {epoch + 1}, the entry is of epoch {epoch}"
    if soft:
        assert found.verdict == admin_pb2.VERDICT_STALE
        assert found.reason.startswith(f"served as stale: {told}, until "), found.reason
        assert found.store.ttl_ms == 0
    else:
        assert (found.verdict, found.reason) == (admin_pb2.VERDICT_INVALIDATED, f"dead: {told}")
        assert client.get(key, namespace="shop").status == cache_pb2.STATUS_MISS
    first = found.stamps[0]
    assert (first.epoch, first.soft) == (epoch + 1, soft)
    assert [stamp.epoch for stamp in found.stamps] == sorted((stamp.epoch for stamp in found.stamps), reverse=True)


def test_an_old_generation(start, store, key):
    """COHERENCE C3: a namespace that is switched on again starts a new one."""
    server = start.larderd(CONFIG, redis=start.redis() if store == "redis" else None)
    client = server.client()
    admin = Admin(client)
    client.set(key, b"v", namespace="shop")
    before = admin.inspect(key, namespace="shop")
    for enabled in (False, True):
        seen = len(server.process.lines)
        server.write_config({**CONFIG, "namespaces": {**CONFIG["namespaces"], "shop": {"enabled": enabled}}})
        server.process.send(signal.SIGHUP)
        server.wait_for_log("policies are in force", after=seen)
        found = admin.inspect(key, namespace="shop")
        if not enabled:
            assert found.verdict == admin_pb2.VERDICT_NONE
            assert found.reason.startswith("a miss: the namespace is switched off")
    assert found.verdict == admin_pb2.VERDICT_OLD_GENERATION
    assert found.store.generation == before.clock.generation != found.clock.generation
    told = f"dead: the entry is of generation {before.clock.generation:016x}, the present one is "
    assert found.reason.startswith(told + f"{found.clock.generation:016x}; "), found.reason
    assert client.get(key, namespace="shop").status == cache_pb2.STATUS_MISS


def test_what_is_not_ours(start, key):
    server = start.larderd(CONFIG, redis=start.redis())
    client = server.client()
    admin = Admin(client)
    server.redis.command("SET", b"larder:shop:e:" + key, "somebody else's", "PX", 600_000)
    found = admin.inspect(key, namespace="shop")
    assert found.verdict == admin_pb2.VERDICT_UNREADABLE
    assert found.reason.startswith("unreadable: what is stored (15 bytes) is not Larder's")
    assert not found.HasField("store")
    listed = list_all([admin], namespace="shop", pattern=key, with_invalid=True)
    assert [(each.key, each.verdict, each.HasField("entry")) for each in listed] == [
        (key, admin_pb2.VERDICT_UNREADABLE, False)
    ]
    tool = run_larder("--namespace", "shop", "inspect", key.decode(), port=server.port)
    assert tool.returncode == 1 and b": unreadable\nunreadable: what is stored" in tool.stdout
    client.invalidate(namespace="shop", keys=[key])
    assert admin.inspect(key, namespace="shop").verdict == admin_pb2.VERDICT_NONE


def test_what_is_refused(admin):
    with refused("key: empty, must be 1 to 512 bytes"):
        admin.inspect(b"")
    with refused('namespace: "nowhere" is not configured'):
        admin.inspect(b"k", namespace="nowhere")
    with refused('namespace: "nowhere" is not configured'):
        admin.list(namespace="nowhere")
    with refused("page_size: 10001, must be 1 to 10000"):
        admin.list(page_size=10_001)
    with refused("page_size: -1, must be 1 to 10000"):
        admin.list(page_size=-1)
    with refused("pattern: 129 bytes, the limit is 128"):
        admin.list(pattern=b"*" * 129)
    with refused('page: not a next_page that a List of namespace "shop" has answered'):
        admin.list(namespace="shop", page=b"garbage")
    with refused("confirm: must be true, this drops every entry of every namespace"):
        admin.invalidate_everything()


def fill(client, namespace, keys):
    for at in range(0, len(keys), 500):
        entries = [cache_pb2.SetRequest(key=each, value=b"v") for each in keys[at : at + 500]]
        assert all(result.code == 0 for result in client.batch_set(entries, namespace=namespace))


def test_5000_keys_are_paged_through_while_others_write(server, store, start_shared, client, admin):
    wanted = {b"k:%d" % number for number in range(5_000)}
    fill(client, "listed", sorted(wanted))
    admins = [admin]
    if store == "redis":
        # A page is good at every replica.
        admins.append(Admin(start_shared.larderd(CONFIG, redis=server.redis).client()))
    stop = threading.Event()
    errors = []
    written = []

    def write():
        other = server.client()
        number = 0
        try:
            while not stop.is_set():
                number += 1
                other.set(b"w:%d" % (number % 700), b"w" * (number % 100), namespace="listed")
                other.invalidate(namespace="listed", keys=[b"w:%d" % (number // 2 % 700)])
                written.append(number)
        except grpc.RpcError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: len(written) > 100 or errors, "the writer to be at work")
        for _ in range(3):
            found = list_all(admins, namespace="listed", pattern=b"k:*", page_size=500)
            assert {each.key for each in found} == wanted
            assert {each.verdict for each in found} == {admin_pb2.VERDICT_FRESH}
            assert {each.key[:2] for each in list_all(admins, namespace="listed", page_size=10_000)} == {b"k:", b"w:"}
        tail = {each.key for each in list_all(admins, namespace="listed", pattern=b"k:*99")}
        assert tail == {each for each in wanted if each.endswith(b"99")}
    finally:
        stop.set()
        writer.join(PATIENCE)
    assert not errors
    # A step looks at no more than it was asked to, so one page never holds the whole.
    first = admin.list(namespace="listed", page_size=100)
    assert len(first.keys) < 500 and first.next_page
    with refused('page: not a next_page that a List of namespace "other" has answered'):
        admin.list(namespace="other", page=first.next_page)
    with refused('page: not a next_page that a List of namespace "listed" has answered'):
        admin.list(namespace="listed", page=first.next_page[:-1])


def test_keys_of_any_bytes(client, admin):
    for each in ANY_BYTES:
        client.set(each, b"v", namespace="bytes")
        assert admin.inspect(each, namespace="bytes").verdict == admin_pb2.VERDICT_FRESH
    listed = lambda **fields: sorted(each.key for each in list_all([admin], namespace="bytes", **fields))
    assert listed() == sorted(ANY_BYTES)
    # Brackets and backslashes stand for themselves, a question mark for any one byte.
    assert listed(pattern=b"[a]") == [b"[a]"]
    assert listed(pattern=b"\\") == [b"\\"]
    assert listed(pattern=b"?") == sorted(each for each in ANY_BYTES if len(each) == 1)
    assert listed(pattern=b"*\r*") == sorted(each for each in ANY_BYTES if b"\r" in each)


def test_the_invalid_are_listed_if_asked_for(client, admin, key):
    client.set(key + b":dead", b"v", namespace="shop", tags=["listed"])
    client.invalidate(namespace="shop", tags=["listed"])
    client.set(key + b":live", b"v", namespace="shop")
    client.get(key + b":leased", namespace="shop", want_lease=True)

    def verdicts(**fields):
        found = list_all([admin], namespace="shop", pattern=key + b"*", **fields)
        return {each.key[len(key) + 1 :]: each.verdict for each in found}

    assert verdicts() == {b"live": admin_pb2.VERDICT_FRESH}
    assert verdicts(with_invalid=True) == {
        b"dead": admin_pb2.VERDICT_INVALIDATED,
        b"live": admin_pb2.VERDICT_FRESH,
        b"leased": admin_pb2.VERDICT_LEASED,
    }


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_everything_is_invalidated(start, store, soft):
    server = start.larderd(CONFIG, redis=start.redis() if store == "redis" else None)
    client = server.client()
    admin = Admin(client)
    names = ["default", *CONFIG["namespaces"]]
    for name in names:
        client.set(b"k", b"v", namespace=name, stale_for_ms=60_000)
    assert admin.invalidate_everything(confirm=True, mode=SOFT if soft else 0).namespaces == len(names)
    for name in names:
        answer = client.get(b"k", namespace=name)
        if soft:
            assert (answer.status, answer.freshness) == (cache_pb2.STATUS_HIT, cache_pb2.FRESHNESS_STALE)
        else:
            assert answer.status == cache_pb2.STATUS_MISS


def test_sweeps_are_seen(start, store):
    server = start.larderd(
        {"namespaces": {"shop": {}}, "sweep": {"interval": "100ms"}}, redis=start.redis() if store == "redis" else None
    )
    client = server.client()
    admin = Admin(client)
    fill(client, "shop", [b"k:%d" % number for number in range(300)])
    client.set(b"stays", b"v", namespace="shop")
    before = admin.inspect(b"stays", namespace="shop").clock
    client.invalidate(namespace="shop", patterns=[b"k:*"])
    swept = eventually(
        lambda: (sweep := admin.sweeps()["shop"]).removed == 300 and not (sweep.running or sweep.pending) and sweep,
        "the sweep to end",
    )
    assert swept.scanned >= 301
    assert set(admin.sweeps()) == {"default", "shop"}
    assert not admin.sweeps()["default"].pending
    found = admin.inspect(b"k:1", namespace="shop")
    assert found.verdict == admin_pb2.VERDICT_NONE
    assert found.clock.swept_epoch == before.epoch + 1 <= found.clock.epoch
    assert admin.inspect(b"stays", namespace="shop").verdict == admin_pb2.VERDICT_FRESH


def test_a_store_that_is_away_is_an_error(start, key):
    redis = start.redis()
    server = start.larderd(CONFIG, redis=redis)
    admin = Admin(server.client())
    admin.inspect(key)
    redis.kill()
    with fails(grpc.StatusCode.UNAVAILABLE):
        admin.inspect(key)
    with fails(grpc.StatusCode.UNAVAILABLE):
        admin.list()


def test_health_and_metrics_know_the_service(server, client, admin, key):
    admin.inspect(key)
    assert client.check("larder.v1.Admin") == health_pb2.HealthCheckResponse.SERVING
    labels = {"grpc_service": "larder.v1.Admin", "grpc_method": "Inspect", "grpc_code": "OK"}
    eventually(lambda: total(server.metrics(), "grpc_server_handled_total", **labels) >= 1, "the call to be counted")


def test_the_tool_explains_a_key(client, larder, key):
    name = key.decode()
    assert larder("inspect", name, code=1).stdout.decode().startswith(f'"{name}": none\na miss: nothing is stored')
    written = client.set(key, b"v", namespace="shop", tags=["client:7"], content_type="text/plain")
    lines = larder("inspect", name).stdout.decode().splitlines()
    assert lines[0] == f'"{name}": fresh'
    assert lines[1].startswith("served: fresh for another ")
    assert any(re.fullmatch(rf"version +(-|{written.version}) +{written.version}", line) for line in lines), lines
    assert any(re.fullmatch(r'tags +(-|"client:7") +"client:7"', line) for line in lines), lines
    client.invalidate(namespace="shop", tags=["client:7"])
    dead = larder("inspect", name, code=1).stdout.decode()
    assert 'dead: tag "client:7" was invalidated (HARD) at epoch ' in dead
    assert re.search(r'\n  epoch \d+: tag "client:7" was invalidated \(HARD\)\n', dead), dead
    (told,) = json_lines(larder("--json", "inspect", name, code=1))
    assert (told["key"], told["verdict"]) == (name, "invalidated")
    assert told["near"] is None or told["near"]["version"] == str(written.version)
    assert told["store"]["version"] == str(written.version) and told["store"]["tags"] == ["client:7"]
    assert {"tag": "client:7", "epoch": told["clock"]["epoch"], "soft": False} in told["stamps"]


def test_the_tool_lists_keys(client, larder, key):
    names = [f"{key.decode()}:{number:02}" for number in range(25)]
    fill(client, "shop", [name.encode() for name in names])
    pattern = key.decode() + ":*"
    lines = larder("list", pattern, "--all-pages", "--page-size", "7").stdout.decode().splitlines()
    assert lines[0].split() == ["verdict", "age", "stale", "in", "gone", "in", "takes", "key"]
    assert sorted(line.split()[-1] for line in lines[1:]) == [f'"{name}"' for name in names]
    assert {line.split()[0] for line in lines[1:]} == {"fresh"}
    some = larder("list", pattern, "--limit", "10")
    assert len(some.stdout.splitlines()) == 1 + 10
    assert some.stderr.decode() == "larder: there may be more: --all-pages, or a larger --limit\n"
    *keys, more = json_lines(larder("--json", "list", pattern, "--limit", "10"))
    assert len(keys) == 10 and more == {"more": True}
    assert all(each["key"] in names and each["verdict"] == "fresh" and each["entry"]["ttl_ms"] > 0 for each in keys)
    assert larder("list", key.decode() + ":none:*", "--all-pages", code=1).stdout == b""
    raw = key + b"\xff\0"
    client.set(raw, b"v", namespace="shop")
    (one,) = json_lines(larder("--json", "list", key.decode() + "??", "--all-pages"))
    assert base64.b64decode(one["key_base64"]) == raw
    client.invalidate(namespace="shop", keys=[name.encode() for name in names])
    larder("list", pattern, "--all-pages", code=1)


def test_the_tool_is_told_what_is_wrong(larder):
    assert b"INVALID_ARGUMENT: pattern: 129 bytes, the limit is 128" in larder("list", "*" * 129, code=3).stderr
    larder("list", "--limit", "0", code=2)
    larder("list", "--limit", "1", "--all-pages", code=2)
    larder("inspect", code=2)
