"""Watch: what changes in a namespace, told as it happens, and every time that something was not."""

import json
import signal
import subprocess
import threading
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import DIE_WITH_PARENT, LARDER, PATIENCE, clean_environment, eventually, fails, free_port, total

LEASE = 1.0
TRACKING = {"near": {"lease": f"{LEASE}s"}}
Gap = cache_pb2.WatchGap


class Watcher:
    """A stream, and what it has told."""

    def __init__(self, client, cursor=b"", heartbeat_ms=100, namespace=""):
        self.messages, self.error = [], None
        self.call = client.cache.Watch(
            cache_pb2.WatchRequest(namespace=namespace, cursor=cursor, heartbeat_ms=heartbeat_ms)
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for message in self.call:
                self.messages.append(message)
        except grpc.RpcError as error:
            self.error = error

    def begun(self):
        """Itself, once its first message is here."""
        eventually(lambda: self.messages or self.error, "the first message")
        assert self.messages, self.error
        return self

    def events(self):
        """Gaps included, as their reasons."""
        told = []
        for message in list(self.messages):
            told += message.events.events
            if message.HasField("gap"):
                told.append(message.gap.reason)
        return told

    def texts(self):
        return [event if isinstance(event, int) else text_of(event) for event in self.events()]

    def awaits(self, *texts):
        """Returns once all of them have been told."""
        eventually(lambda: set(texts) <= set(self.texts()), f"{texts} of {self.texts()}")

    def ended(self, code):
        eventually(lambda: not self._thread.is_alive(), "the stream's end")
        assert self.error.code() == code, self.error
        return self.error.details()

    def cancel(self):
        """The cursor that it leaves."""
        self.call.cancel()
        self._thread.join(PATIENCE)
        return self.messages[-1].cursor


def text_of(event):
    what = event.WhichOneof("what")
    soft = "soft " if event.soft else ""
    value = getattr(event, what)
    return f"{soft}{what} {value.decode() if isinstance(value, bytes) else value}"


def renew(client, namespace=""):
    return client.cache.RenewWatch(cache_pb2.RenewWatchRequest(namespace=namespace), timeout=PATIENCE)


def can_renew(client):
    try:
        return renew(client)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return None


def start_watched(start, store, config=None):
    """A server that can be watched, once it can say so."""
    redis = start.redis() if store == "redis" else None
    server = start.larderd({**TRACKING, **(config or {})} if redis else config, redis=redis)
    eventually(lambda: can_renew(server.client()), "a lease")
    return server


@pytest.fixture(name="watched", scope="module")
def fixture_watched(store, start_shared):
    return start_watched(start_shared, store, {"namespaces": {"shop": {}}})


def check_sequence(messages):
    """COHERENCE W4: positions follow one another, and one incarnation tells them."""
    position = messages[0].sequence
    assert messages[0].WhichOneof("kind") == "heartbeat"
    for message in messages:
        assert message.incarnation == messages[0].incarnation != 0
        kind = message.WhichOneof("kind")
        if kind == "events":
            assert message.events.first_sequence == position + 1
            position += len(message.events.events)
            assert 0 < len(message.events.events) <= 1000
        elif kind == "gap":
            position += 1
        assert message.sequence == position, message


def test_everything_that_changes_is_told(watched):
    client = watched.client()
    watcher = Watcher(client).begun()
    client.set(b"set", b"value", tags=["of"])
    watcher.awaits("key set")
    client.touch(b"set", ttl_ms=50_000)
    client.batch_set([cache_pb2.SetRequest(key=b"batch%d" % i, value=b"v") for i in range(5)])
    watcher.awaits(*(f"key batch{i}" for i in range(5)))
    client.invalidate(keys=[b"set"])
    client.invalidate(tags=["of", "these"])
    client.invalidate(patterns=[b"b*"], mode=cache_pb2.INVALIDATION_MODE_SOFT)
    client.invalidate(all=True)
    watcher.awaits("tag of", "tag these", "soft pattern b*", "all True")
    assert watcher.texts().count("key set") >= 3
    assert not any(isinstance(event, int) for event in watcher.events()), "no gap"
    eventually(lambda: watcher.messages[-1].HasField("heartbeat"), "a heartbeat")
    watcher.cancel()
    check_sequence(watcher.messages)


def test_namespaces_are_told_apart(watched):
    client = watched.client()
    here, there = Watcher(client).begun(), Watcher(client, namespace="shop").begun()
    client.set(b"default", b"value")
    client.set(b"shop", b"value", namespace="shop")
    here.awaits("key default")
    there.awaits("key shop")
    assert "key shop" not in here.texts() and "key default" not in there.texts()
    here.cancel()
    there.cancel()


def test_what_a_renewal_answers_covers_what_was_acknowledged(watched, store):
    """COHERENCE W2."""
    client = watched.client()
    watcher = Watcher(client).begun()
    for number in range(20):
        before = renew(client).sequence
        client.set(b"renewed%d" % number, b"value")
        if store == "redis":
            time.sleep(0.05 if number else LEASE)  # a lease later it must be covered; usually it is at once
        else:
            assert renew(client).sequence > before
    time.sleep(LEASE if store == "redis" else 0)
    answer = renew(client)
    assert answer.incarnation == watcher.messages[0].incarnation
    eventually(lambda: watcher.messages[-1].sequence >= answer.sequence, "everything up to there")
    assert [f"key renewed{number}" for number in range(20)] == list(dict.fromkeys(watcher.texts()))
    watcher.cancel()


def test_a_stream_goes_on_from_its_cursor(watched):
    """COHERENCE W4."""
    client = watched.client()
    wanted, told, cursor = [], [], b""
    position = None
    for number in range(30):
        watcher = Watcher(watched.client(), cursor).begun()
        assert watcher.messages[0].WhichOneof("kind") == "heartbeat"
        assert position in (None, watcher.messages[0].sequence)
        for part in range(2):
            client.set(b"resumed%d-%d" % (number, part), b"value")
            wanted.append(f"key resumed{number}-{part}")
        watcher.awaits(wanted[-1])
        cursor = watcher.cancel()
        told += watcher.texts()
        position = watcher.messages[-1].sequence
        client.set(b"away%d" % number, b"value")
        wanted.append(f"key away{number}")
    watcher = Watcher(client, cursor).begun()
    watcher.awaits(wanted[-1])
    told += watcher.texts()
    watcher.cancel()
    assert list(dict.fromkeys(told)) == wanted


def test_every_answer_says_who_gave_it(watched):
    """COHERENCE W1."""
    client = watched.client()
    client.set(b"who", b"value")
    incarnation = renew(client).incarnation
    assert client.get(b"who").incarnation == incarnation
    assert client.get(b"nobody").incarnation == incarnation
    answer = client.cache.BatchGet(cache_pb2.BatchGetRequest(keys=[b"who", b"nobody"]), timeout=PATIENCE)
    assert answer.incarnation == incarnation and [result.incarnation for result in answer.results] == [0, 0]
    client.set(b"slides", b"value", sliding=True)
    assert client.get(b"slides").sliding and not client.get(b"who").sliding


def test_wrong_requests_are_refused(watched):
    client = watched.client()
    for wanted, request in {
        "heartbeat_ms: 99, must be 100 to 60000": {"heartbeat_ms": 99},
        "cursor: not one that Watch has told": {"cursor": b"x"},
        'namespace: "none" is not configured': {"namespace": "none"},
    }.items():
        with fails(grpc.StatusCode.INVALID_ARGUMENT, wanted):
            next(client.cache.Watch(cache_pb2.WatchRequest(**request), timeout=PATIENCE))
    with fails(grpc.StatusCode.INVALID_ARGUMENT):
        renew(client, "none")


def test_what_others_write_is_told(start):
    """COHERENCE W3: also what this replica has never held."""
    watched = start_watched(start, "redis", {"near": {**TRACKING["near"], "capacity_bytes": 0}})
    other = start.larderd(TRACKING, redis=watched.redis)
    watcher = Watcher(watched.client()).begun()
    other.client().set(b"peer", b"value", tags=["t"])
    watcher.awaits("key peer")
    other.client().invalidate(tags=["t"], patterns=[b"p?er"])
    watcher.awaits("tag t", "pattern p?er")
    other.client().invalidate(all=True)
    watcher.awaits("all True")
    watched.redis.command("SET", "larder:default:e:foreign", "not ours")
    watcher.awaits("key foreign")
    gaps = watcher.texts().count(Gap.REASON_FLUSHED)
    watched.redis.command("FLUSHALL")
    eventually(lambda: watcher.texts().count(Gap.REASON_FLUSHED) > gaps, "a gap")
    other.client().set(b"after", b"value")
    watcher.awaits("key after")
    watcher.cancel()
    check_sequence(watcher.messages)


def test_a_lost_connection_is_a_gap_and_no_renewal(start):
    """COHERENCE W3."""
    watched = start_watched(start, "redis")
    client = watched.client()
    watcher = Watcher(client).begun()
    watched.redis.command("CLIENT", "KILL", "TYPE", "normal")
    watcher.awaits(Gap.REASON_LOST, Gap.REASON_FLUSHED)
    eventually(lambda: can_renew(client), "a lease")
    assert total(watched.metrics(), "cache_watch_gaps_total") >= 2
    watched.redis.pause()
    try:
        time.sleep(LEASE)  # that is what is tested: the lease ends without Redis
        with fails(grpc.StatusCode.UNAVAILABLE, "the store has not told of changes for as long as near.lease"):
            renew(client)
    finally:
        watched.redis.resume()
    eventually(lambda: can_renew(client), "a lease")
    watcher.cancel()


def test_what_cannot_be_gone_on_from_begins_with_a_gap(start):
    """COHERENCE W4."""
    watched = start_watched(start, "embedded", {"watch": {"buffer_events": 100}})
    client = watched.client()
    cursor = Watcher(client).begun().cancel()
    for number in range(101):
        client.set(b"key%d" % number, b"value")
    behind = Watcher(client, cursor).begun()
    assert behind.messages[0].gap.reason == Gap.REASON_CURSOR
    client.set(b"last", b"value")
    behind.awaits("key last")
    assert behind.texts() == [Gap.REASON_CURSOR, "key last"]
    cursor = behind.cancel()
    # Another one that has a position of that number, too.
    other = start_watched(start, "embedded")
    client_of_other = other.client()
    own = Watcher(client_of_other).begun()
    for number in range(200):
        client_of_other.set(b"key%d" % number, b"value")
    own.awaits("key key199")
    foreign = Watcher(client_of_other, cursor).begun()
    assert foreign.messages[0].gap.reason == Gap.REASON_CURSOR
    foreign.cancel()
    own.cancel()
    assert total(watched.metrics(), "cache_watch_gaps_total") == 1


def test_a_slow_watcher_is_cut_off_and_the_others_go_on(start):
    watched = start_watched(start, "embedded", {"watch": {"buffer_events": 1000}})
    client = watched.client()
    slow = watched.client(**{"grpc.http2.bdp_probe": 0, "grpc.http2.lookahead_bytes": 65536})
    stalled = slow.cache.Watch(cache_pb2.WatchRequest())
    first = next(stalled)
    assert first.HasField("heartbeat")
    quick = Watcher(client).begun()
    keys = [(b"%06d" % number) * 80 for number in range(20_000)]
    for begin in range(0, len(keys), 500):
        client.batch_set([cache_pb2.SetRequest(key=key, value=b"v") for key in keys[begin : begin + 500]])
        eventually(lambda end=begin + 500: len(quick.events()) >= end, "the quick one keeping up")
    eventually(lambda: total(watched.metrics(), "cache_watch_cut_off_total") == 1, "the slow one's end")
    told = 0
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED) as caught:
        for message in stalled:
            told += len(message.events.events)
    assert caught[0].details().startswith("watch.buffer_events: cut off"), caught[0].details()
    assert caught[0].details().endswith(f"position {first.sequence + told} was not told")
    assert told < len(keys)
    assert quick.error is None and len(quick.events()) == len(keys)
    quick.cancel()
    eventually(lambda: total(watched.metrics(), "cache_watchers") == 0, "no watchers")


def test_watchers_are_bounded(start):
    watched = start_watched(start, "embedded", {"watch": {"max_watchers": 3}})
    client = watched.client()
    watchers = [Watcher(client).begun() for _ in range(3)]
    assert total(watched.metrics(), "cache_watchers") == 3
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "watch.max_watchers: 3 streams are open already"):
        next(client.cache.Watch(cache_pb2.WatchRequest(), timeout=PATIENCE))
    watchers.pop().cancel()
    eventually(lambda: total(watched.metrics(), "cache_watchers") == 2, "room")
    watchers.append(Watcher(client).begun())
    for watcher in watchers:
        watcher.cancel()


def test_without_a_source_there_is_nothing_to_watch(start):
    server = start.larderd({"near": {"coherence": "age"}}, redis=start.redis())
    client = server.client()
    with fails(grpc.StatusCode.FAILED_PRECONDITION) as caught:
        next(client.cache.Watch(cache_pb2.WatchRequest(), timeout=PATIENCE))
    assert caught[0].details().startswith("near.coherence: ")
    with fails(grpc.StatusCode.FAILED_PRECONDITION):
        renew(client)
    client.set(b"key", b"value")
    assert client.get(b"key").incarnation == 0


def test_a_server_that_stops_ends_its_streams(start):
    watched = start_watched(start, "embedded")
    watchers = [Watcher(watched.client()).begun() for _ in range(5)]
    began = time.monotonic()
    watched.process.send(signal.SIGTERM)
    for watcher in watchers:
        assert watcher.ended(grpc.StatusCode.UNAVAILABLE) == "the server is shutting down"
    assert time.monotonic() - began < PATIENCE / 10, "not after the drain timeout of 10 s"
    for client in watched.clients:
        client.close()
    assert watched.process.wait() == 0


def test_a_replica_that_is_killed_leaves_another_incarnation(start):
    """COHERENCE W4."""
    redis, port = start.redis(), free_port()
    config = {**TRACKING, "grpc": {"listen": f"127.0.0.1:{port}"}}
    killed = start.larderd(config, redis=redis)
    watcher = Watcher(killed.client()).begun()
    killed.client().set(b"key", b"value")
    watcher.awaits("key key")
    cursor, incarnation = watcher.messages[-1].cursor, watcher.messages[-1].incarnation
    killed.process.send(signal.SIGKILL)
    killed.expected_end = -signal.SIGKILL
    watcher.ended(grpc.StatusCode.UNAVAILABLE)
    again = start.larderd(config, redis=redis)
    watcher = Watcher(again.client(), cursor).begun()
    assert watcher.messages[0].gap.reason == Gap.REASON_CURSOR
    assert watcher.messages[0].incarnation != incarnation
    watcher.cancel()


def test_switching_off_is_a_gap(start):
    watched = start_watched(start, "embedded")
    watcher = Watcher(watched.client()).begun()
    watched.write_config({"namespaces": {"default": {"enabled": False}}})
    watched.process.send(signal.SIGHUP)
    watcher.awaits(Gap.REASON_GENERATION)
    watcher.cancel()


def larder_watch(server, *arguments):
    command = [LARDER, "--address", f"127.0.0.1:{server.port}", *arguments, "watch"]
    return subprocess.Popen(DIE_WITH_PARENT + command, stdout=subprocess.PIPE, text=True, env=clean_environment())


def test_the_tool_prints_what_it_is_told(start):
    watched = start_watched(start, "embedded")
    client = watched.client()
    for arguments in ((), ("--json",)):
        before = total(watched.metrics(), "cache_watchers")
        with larder_watch(watched, *arguments) as tool:
            first = tool.stdout.readline()
            eventually(lambda least=before: total(watched.metrics(), "cache_watchers") > least, "the stream")
            client.set(b"a\xff", b"value")
            client.invalidate(tags=["tag"], mode=cache_pb2.INVALIDATION_MODE_SOFT)
            lines = [tool.stdout.readline() for _ in range(2)]
            tool.terminate()
        eventually(lambda least=before: total(watched.metrics(), "cache_watchers") == least, "its end")
        if not arguments:
            assert first.startswith("watching from ")
            assert [line.split(maxsplit=1)[1] for line in lines] == ['key "a\\xff"\n', 'soft tag "tag"\n']
            continue
        begun, key, tag = map(json.loads, (first, *lines))
        assert begun["event"] == "begin" and len(begun["incarnation"]) > 0
        assert key["event"] == "key" and key["key_base64"] == "Yf8="
        assert (tag["event"], tag["tag"], tag["soft"]) == ("tag", "tag", True)
        assert tag["sequence"] == key["sequence"] + 1 == begun["sequence"] + 2
