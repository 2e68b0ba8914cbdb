"""Reading through to an origin: the example's, which is what users copy, by itself and behind larderd."""

import json
import os
import re
import signal

import grpc
import pytest
from larder.v1 import cache_pb2, origin_pb2, origin_pb2_grpc

from harness import PATIENCE, Process, eventually, total

ORIGIN = os.environ["LARDER_BOOKINGS_ORIGIN"]
ROWS = "5000"
TODAY = 20420  # the example's


class Origin:
    """The example's server, on a free port, with a database of its own."""

    def __init__(self, folder):
        self.database = folder / "bookings.db"
        self.process = self._launch("127.0.0.1:0", "--generate", ROWS)
        self.port = self.process.wait_for_line(port_of, "the origin's port")

    def _launch(self, listen, *arguments):
        return Process([ORIGIN, "--listen", listen, "--database", str(self.database), *arguments])

    def stop(self):
        self.process.send(signal.SIGTERM)
        assert self.process.wait() == 0, self.process.output()

    def restart(self):
        """On the same port."""
        self.process = self._launch(f"127.0.0.1:{self.port}")
        assert self.process.wait_for_line(port_of, "the origin's port") == self.port


def port_of(line):
    found = re.search(r"serves on port (\d+)$", line or "")
    return int(found[1]) if found else None


@pytest.fixture(name="origin")
def fixture_origin(tmp_path):
    origin = Origin(tmp_path)
    yield origin
    if origin.process.child.poll() is None:
        origin.stop()


@pytest.fixture(name="stub")
def fixture_stub(origin):
    with grpc.insecure_channel(f"127.0.0.1:{origin.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        yield origin_pb2_grpc.OriginStub(channel)


def load(stub, *keys):
    return stub.Load(origin_pb2.LoadRequest(namespace="bookings", keys=keys), timeout=PATIENCE).results


def enumerate_keys(stub, **fields):
    request = origin_pb2.EnumerateRequest(namespace="bookings", **fields)
    return [key for message in stub.Enumerate(request, timeout=PATIENCE) for key in message.keys]


@pytest.mark.parametrize(
    "key, ttl_class, tags, field",
    [
        (b"service:1", "static", ["service:1"], "price_cents"),
        (b"client:1", "user", ["client:1"], "email"),
        (b"settings:1", "static", ["location:1"], "settings"),
        (b"availability:1:20420", "realtime", ["calendar:20420", "staff:1"], "version"),
        (b"dashboard:1", "analytics", ["location:1"], "today"),
    ],
)
def test_the_example_says_how_each_kind_of_key_is_cached(stub, key, ttl_class, tags, field):
    (loaded,) = load(stub, key)
    assert field in json.loads(loaded.value)
    assert (loaded.ttl_class, list(loaded.tags), loaded.content_type) == (ttl_class, tags, "application/json")
    assert not loaded.do_not_cache


def test_the_example_knows_what_is_not_there_and_what_is_not_to_be_cached(stub):
    unknown = [b"service:0", b"service:one", b"service", b"service:1:2", b"what:1", b"\xff", b"availability:1000:20420"]
    *absent, version = load(stub, *unknown, b"version:1")
    assert [result.WhichOneof("outcome") for result in absent] == ["absent"] * len(unknown)
    assert (version.value, version.do_not_cache) == (b"1", True)


def test_the_example_says_which_key_failed_and_why(origin, stub):
    origin.stop()
    origin.database.write_bytes(b"no database at all" * 1000)
    for left_behind in origin.database.parent.glob("bookings.db-*"):
        left_behind.unlink()
    origin.restart()
    (result,) = eventually(lambda: answer_of(lambda: load(stub, b"service:1")), "the origin's return")
    assert "file is not a database" in result.error


def answer_of(call):
    """None while the origin cannot be reached."""
    try:
        return call()
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return None


def test_the_example_names_services_and_this_weeks_availability(stub):
    keys = enumerate_keys(stub)
    services = [key for key in keys if key.startswith(b"service:")]
    days = {int(key.split(b":")[2]) for key in keys if key.startswith(b"availability:")}
    assert services and days == set(range(TODAY, TODAY + 7))
    assert enumerate_keys(stub, prefix=b"service:") == services
    assert enumerate_keys(stub, prefix=b"service:", limit=3) == services[:3]


def test_a_miss_is_read_through(start, origin):
    server = start.larderd({"namespaces": {"bookings": {"origin": {"target": f"127.0.0.1:{origin.port}"}}}})
    client = server.client()

    def get(key):
        return client.get(key, namespace="bookings", wait_ms=int(PATIENCE * 1000))

    first = get(b"service:1")
    assert first.status == cache_pb2.STATUS_HIT
    assert "price_cents" in json.loads(first.value)
    assert 0 < first.ttl_ms <= 3_600_000
    assert get(b"service:0").status == cache_pb2.STATUS_ABSENT
    assert get(b"version:1").value == b"1"
    origin.stop()
    again = get(b"service:1")
    assert (again.status, again.version, again.value) == (cache_pb2.STATUS_HIT, first.version, first.value)
    assert get(b"service:0").status == cache_pb2.STATUS_ABSENT
    samples = server.metrics()
    assert total(samples, "cache_origin_keys_total", namespace="bookings", result="value") == 2
    assert total(samples, "cache_origin_keys_total", namespace="bookings", result="absent") == 1


def test_tags_of_the_origin_are_invalidated_by(start, origin):
    server = start.larderd({"namespaces": {"bookings": {"origin": {"target": f"127.0.0.1:{origin.port}"}}}})
    client = server.client()
    before = client.get(b"client:1", namespace="bookings", wait_ms=int(PATIENCE * 1000))
    client.invalidate(namespace="bookings", tags=["client:1"])
    after = client.get(b"client:1", namespace="bookings", wait_ms=int(PATIENCE * 1000))
    assert after.value == before.value
    assert after.version != before.version
