"""Pipeline: many operations in flight on one stream, each answered under its id as its call would have been."""

import queue
import signal
import threading
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import PATIENCE, eventually, fails, total

MIB = 1 << 20
OK = grpc.StatusCode.OK
HIT, MISS = cache_pb2.STATUS_HIT, cache_pb2.STATUS_MISS
FROM_STORE = cache_pb2.READ_FROM_STORE
# Of a client that takes nothing: nothing is read ahead for it.
SMALL_WINDOW = {"grpc.http2.bdp_probe": 0, "grpc.http2.lookahead_bytes": 65536}
METHOD = "/larder.v1.Cache/Pipeline"


class Stream:
    """A Pipeline stream. Reads on a thread of its own, or once it is told to; `raw`: sends bytes as they are."""

    def __init__(self, client, reads=True, raw=False, timeout=2 * PATIENCE):
        self.messages = []
        self.error = None
        self._to_send = queue.SimpleQueue()
        self._next_id = 0
        call = client.cache.Pipeline
        if raw:
            call = client.channel.stream_stream(METHOD, None, cache_pb2.PipelineResponse.FromString)
        self._call = call(iter(self._to_send.get, None), timeout=timeout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        if reads:
            self.read()

    def _read(self):
        try:
            for message in self._call:
                self.messages.append(message)
            self.error = OK
        except grpc.RpcError as error:
            self.error = error.code()

    def read(self):
        self._reader.start()

    def send(self, *operations):
        self._to_send.put(cache_pb2.PipelineRequest(operations=operations))

    def send_bytes(self, message):
        self._to_send.put(message)

    def ask(self, timeout_ms=0, **operation):
        """Sends one operation; its id."""
        self._next_id += 1
        self.send(cache_pb2.PipelineOperation(id=self._next_id, timeout_ms=timeout_ms, **operation))
        return self._next_id

    def results(self):
        return [result for message in list(self.messages) for result in message.results]

    def result(self, number):
        """The only result with the id."""
        (result,) = eventually(lambda: [each for each in self.results() if each.id == number], f"answer {number}")
        return result

    def do(self, **operation):
        """The answer to one operation, whichever kind it is."""
        result = self.result(self.ask(**operation))
        return getattr(result, result.WhichOneof("result"))

    def half_close(self):
        self._to_send.put(None)

    def end(self):
        """The code that the stream ends with once nothing more is sent."""
        self.half_close()
        return self.code()

    def code(self):
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), "the stream hangs"
        return self.error

    def details(self):
        return self._call.details()

    def cancel(self):
        self._call.cancel()
        self._to_send.put(None)
        return self.code()


def get(key, **fields):
    return cache_pb2.GetRequest(key=key, **fields)


def put(key, value, **fields):
    return cache_pb2.SetRequest(key=key, value=value, **fields)


def operation(number, **fields):
    return cache_pb2.PipelineOperation(id=number, **fields)


def lease_of(client, key):
    """Takes the right to load the key, so that others wait for it."""
    answer = client.get(key, want_lease=True)
    assert answer.lease.token
    return answer.lease.token


def waiting(key):
    """A Get that waits for who holds the lease."""
    return get(key, want_lease=True, wait_ms=int(PATIENCE * 1000))


def code_of(result):
    return result.failure.code


@pytest.fixture(name="stream")
def fixture_stream(client):
    stream = Stream(client)
    yield stream
    stream.half_close()


def test_every_operation_is_answered_as_its_call(client, stream, key):
    written = stream.do(set=put(key, b"value", content_type="text/plain", tags=["group"], ttl_ms=60_000))
    assert written.version and written.ttl_ms
    hit = stream.do(get=get(key))
    assert (hit.status, hit.value, hit.version, hit.content_type) == (HIT, b"value", written.version, "text/plain")
    unary = client.get(key)
    for field in ("status", "freshness", "version", "content_type", "incarnation", "value", "degraded"):
        assert getattr(hit, field) == getattr(unary, field), field
    touched = stream.do(touch=cache_pb2.TouchRequest(key=key, ttl_ms=30_000))
    assert (touched.status, touched.version) == (HIT, written.version)
    batch = stream.do(batch_set=cache_pb2.BatchSetRequest(entries=[put(key + b"1", b"1"), put(key + b"2", b"2")]))
    assert [result.code for result in batch.results] == [0, 0]
    batch = stream.do(batch_get=cache_pb2.BatchGetRequest(keys=[key, key + b"1", key + b"2", key + b"3"]))
    assert [result.value for result in batch.results] == [b"value", b"1", b"2", b""]
    assert batch.incarnation == unary.incarnation
    assert stream.do(invalidate=cache_pb2.InvalidateRequest(keys=[key, key + b"1"])).dropped == 2
    assert client.get(key).status == MISS
    lease = stream.do(get=get(key, want_lease=True)).lease.token
    assert stream.do(release=cache_pb2.ReleaseRequest(key=key, lease=lease)).released
    assert stream.end() == OK


def test_many_operations_are_each_answered_once(client, stream, key):
    for number in range(100):
        client.set(key + b"%d" % number, b"value %d" % number)
    for begin in range(0, 20_000, 1_000):
        stream.send(
            *(operation(number, get=get(key + b"%d" % (number % 200))) for number in range(begin, begin + 1_000))
        )
    assert stream.end() == OK
    results = {result.id: result.get for result in stream.results()}
    assert len(results) == len(stream.results()) == 20_000
    for number, answer in results.items():
        place = number % 200
        assert (answer.status, answer.value) == ((HIT, b"value %d" % place) if place < 100 else (MISS, b""))
    # Several in one message, where several are ready.
    assert len(stream.messages) < 10_000


def test_an_id_is_the_callers_business(stream, key):
    stream.send(
        operation(7, get=get(key)),
        operation(7, touch=cache_pb2.TouchRequest(key=key)),
        operation(0, get=get(key)),
        operation(2**64 - 1, get=get(key)),
    )
    assert stream.end() == OK
    assert sorted((result.id, result.WhichOneof("result")) for result in stream.results()) == [
        (0, "get"),
        (7, "get"),
        (7, "touch"),
        (2**64 - 1, "get"),
    ]


def test_what_waits_does_not_hold_up_what_follows(client, stream, key):
    lease = lease_of(client, key)
    slow = stream.ask(get=waiting(key))
    assert stream.do(set=put(key + b"other", b"value")).version
    assert stream.do(get=get(key + b"other")).value == b"value"
    assert slow not in [result.id for result in stream.results()]
    client.set(key, b"loaded", lease=lease)
    assert stream.result(slow).get.value == b"loaded"


def test_a_failure_is_that_of_the_call(client, stream, key):
    client.set(key, b"value")
    version = client.get(key).version
    for name, request in {
        "get": get(b""),
        "set": put(key, b"value", ttl_ms=-1),
        "invalidate": cache_pb2.InvalidateRequest(),
        "release": cache_pb2.ReleaseRequest(key=key, lease=b"x"),
        "touch": cache_pb2.TouchRequest(key=b"k" * 513),
        "batch_get": cache_pb2.BatchGetRequest(keys=[b"k"] * 1_001),
        "batch_set": cache_pb2.BatchSetRequest(namespace="nowhere", entries=[put(key, b"value")]),
    }.items():
        call = getattr(client.cache, "".join(word.capitalize() for word in name.split("_")))
        with fails(grpc.StatusCode.INVALID_ARGUMENT) as caught:
            call(request, timeout=PATIENCE)
        failure = stream.result(stream.ask(**{name: request})).failure
        assert (failure.code, failure.message, failure.version) == (3, caught[0].details(), 0), name
    with fails(grpc.StatusCode.ABORTED) as caught:
        client.set(key, b"new", if_absent=True)
    failure = stream.result(stream.ask(set=put(key, b"new", if_absent=True))).failure
    assert (failure.code, failure.message, failure.version) == (10, caught[0].details(), version)
    assert dict(caught[0].trailing_metadata())["larder-version"] == str(version)
    assert stream.do(get=get(key)).value == b"value"
    assert stream.end() == OK


def test_what_is_no_operation_fails_under_its_id(client, key):
    stream = Stream(client, raw=True)

    def framed(number, *parts):
        body = b"\x08%c" % number + b"".join(parts)
        return b"\x0a%c" % len(body) + body

    good = get(key).SerializeToString()
    stream.send_bytes(
        framed(1)  # none
        + framed(2, b"\x72\x00")  # one of field 14, which is not known
        + framed(3, b"\x12\x02\x08\x01")  # a get, which is empty but for a field that it does not know
        + framed(4, b"\x12\x02\xff\xff")  # a get that is none
        + framed(5, b"\x12\x7f")  # cut off
        + framed(6, b"\x12%c" % len(good), good, b"\x12%c" % len(good), good)
        + framed(7, b"\x12%c" % len(good), good, b"\x78", b"\xff" * 9 + b"\x01")  # timeout_ms: -1
        + framed(8, b"\x12%c" % len(good), good)
        + b"\x10\x01"  # a field of PipelineRequest that is not known
    )
    assert stream.end() == OK
    results = {result.id: result for result in stream.results()}
    assert {number: (result.failure.code, result.failure.message) for number, result in results.items()} == {
        1: (3, "operation: none is set that this server knows"),
        2: (3, "operation: none is set that this server knows"),
        3: (3, "key: empty, must be 1 to 512 bytes"),
        4: (3, "the request is not a valid larder.v1.GetRequest"),
        5: (3, "the request is not a valid larder.v1.PipelineOperation"),
        6: (3, "operation: only one may be set"),
        7: (3, "timeout_ms: must not be negative"),
        8: (0, ""),
    }
    assert results[8].get.status == MISS


def test_what_is_no_message_ends_the_stream(client, key):
    stream = Stream(client, raw=True)
    one = cache_pb2.PipelineRequest(operations=[operation(1, set=put(key, b"value"))]).SerializeToString()
    stream.send_bytes(one + b"\x0a\x7f")
    assert stream.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stream.details() == "the request is not a valid larder.v1.PipelineRequest"
    assert stream.messages == []
    assert client.get(key).status == MISS


def test_an_empty_message_says_nothing(stream, key):
    stream.send()
    stream.send()
    assert stream.do(get=get(key)).status == MISS
    assert stream.end() == OK


def test_a_half_closed_stream_is_answered_to_the_end(client, key):
    lease = lease_of(client, key)
    stream = Stream(client)
    slow = stream.ask(get=waiting(key))
    quick = stream.ask(get=get(key + b"other"))
    stream.half_close()
    assert stream.result(quick).get.status == MISS
    assert stream.error is None
    client.set(key, b"loaded", lease=lease)
    assert stream.code() == OK
    assert stream.result(slow).get.value == b"loaded"


def test_a_stream_without_operations_ends_well(client):
    assert Stream(client).end() == OK


def test_a_cancelled_stream_is_forgotten(start, store, key):
    server = start.larderd(redis=start.redis() if store == "redis" else None)
    client = server.client()
    lease = lease_of(client, key)
    stream = Stream(client)
    stream.ask(get=waiting(key))
    assert stream.do(get=get(b"other")).status == MISS
    assert total(server.metrics(), "cache_pipelines") == 1
    assert stream.cancel() == grpc.StatusCode.CANCELLED
    eventually(lambda: total(server.metrics(), "cache_pipelines") == 0, "the stream's end")
    client.set(key, b"loaded", lease=lease)
    samples = server.metrics()
    assert total(samples, "grpc_server_handled_total", grpc_method="Pipeline", grpc_code="Canceled") == 1
    # What was under way ends, and is told to nobody.
    eventually(
        lambda: total(server.metrics(), "cache_pipeline_operations_total", method="Get") == 2, "the end of the wait"
    )
    assert len(stream.results()) == 1
    assert Stream(client).end() == OK


def test_a_stream_ends_at_its_deadline(client, key):
    lease_of(client, key)
    stream = Stream(client, timeout=0.5)
    stream.ask(get=waiting(key))
    assert stream.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert {result.WhichOneof("result") for result in stream.results()} <= {"get", "failure"}


def test_an_operation_has_a_deadline_of_its_own(start):
    redis = start.redis()
    client = start.larderd(redis=redis).client()
    stream = Stream(client)
    assert stream.do(set=put(b"key", b"value")).version
    redis.pause()
    short = stream.ask(timeout_ms=100, get=get(b"key", read_from=FROM_STORE))
    long = stream.ask(get=get(b"key", read_from=FROM_STORE))
    failure = stream.result(short).failure
    assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    with fails(grpc.StatusCode.DEADLINE_EXCEEDED):
        client.get(b"key", read_from=FROM_STORE, timeout=0.1)
    assert long not in [result.id for result in stream.results()]
    redis.resume()
    assert stream.result(long).get.value == b"value"
    assert stream.end() == OK


def test_a_message_of_too_many_operations_is_refused_before_any_is_done(start, store):
    server = start.larderd(
        {"grpc": {"max_pipeline_operations": 10}}, redis=start.redis() if store == "redis" else None
    )
    client = server.client()
    stream = Stream(client)
    stream.send(*(operation(number, set=put(b"key%d" % number, b"value")) for number in range(10)))
    eventually(lambda: len(stream.results()) == 10, "ten answers")
    stream.send(*(operation(number, set=put(b"other%d" % number, b"value")) for number in range(11)))
    assert stream.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stream.details() == "operations: 11 in one message, the limit is 10 (grpc.max_pipeline_operations)"
    assert [answer.status for answer in client.batch_get([b"other%d" % number for number in range(11)])] == [MISS] * 11
    assert total(server.metrics(), "cache_pipeline_operations_total", method="Set") == 10


def test_no_more_are_under_way_than_may_be(start, store):
    server = start.larderd(
        {"grpc": {"max_pipeline_operations": 4}}, redis=start.redis() if store == "redis" else None
    )
    client = server.client()
    leases = [lease_of(client, b"key%d" % number) for number in range(4)]
    stream = Stream(client)
    slow = [stream.ask(get=waiting(b"key%d" % number)) for number in range(3)]
    # One of the first message fits, and then nothing does.
    stream.send(
        operation(100, get=waiting(b"key3")), operation(101, set=put(b"a", b"1")), operation(102, set=put(b"b", b"2"))
    )
    stream.send(operation(103, set=put(b"c", b"3")))
    eventually(
        lambda: total(server.metrics(), "cache_pipeline_held_total", limit="operations") == 1, "the stream being held"
    )
    assert total(server.metrics(), "cache_waiting") == 4
    assert [answer.status for answer in client.batch_get([b"a", b"b", b"c"])] == [MISS] * 3
    assert stream.results() == []
    client.set(b"key0", b"loaded", lease=leases[0])
    assert stream.result(slow[0]).get.value == b"loaded"
    for number in (101, 102, 103):
        assert stream.result(number).set.version
    assert len(stream.results()) == 4
    for number in range(1, 4):
        client.set(b"key%d" % number, b"loaded", lease=leases[number])
    assert stream.end() == OK
    assert len(stream.results()) == 7


@pytest.mark.parametrize("read_from", [cache_pb2.READ_FROM_UNSPECIFIED, FROM_STORE])
def test_who_takes_nothing_is_given_nothing_more(start, store, read_from):
    size, count, waits, under_way = 256 << 10, 400, MIB, 8
    server = start.larderd(
        {"grpc": {"max_pipeline_bytes": "1MiB", "max_response_bytes": "2MiB", "max_pipeline_operations": under_way}},
        redis=start.redis() if store == "redis" else None,
    )
    for number in range(8):
        server.client().set(b"key%d" % number, bytes([number]) * size)
    before = total(server.metrics(), "process_resident_memory_bytes")
    stream = Stream(server.client(**SMALL_WINDOW), reads=False)
    for number in range(count):
        stream.send(operation(number, get=get(b"key%d" % (number % 8), read_from=read_from)))

    def answered():
        return total(server.metrics(), "cache_pipeline_operations_total", method="Get")

    # With Redis by the operations first, and it stays held by the bytes.
    eventually(lambda: total(server.metrics(), "cache_pipeline_held_total") >= 1, "the stream being held")
    # What waits, what is under way then, a message that gRPC is sending, and what its client has already.
    most = waits // size + under_way + 2 * MIB // size + 8
    eventually(lambda: answered() > 0, "some answers")
    seen = -1
    while seen != answered():
        seen = answered()
        # Others are served meanwhile.
        assert server.client().get(b"key0").status == HIT
    assert answered() <= most < count
    assert total(server.metrics(), "process_resident_memory_bytes") - before < 64 * MIB
    stream.half_close()
    stream.read()
    assert stream.code() == OK
    assert sorted(result.id for result in stream.results()) == list(range(count))
    assert all(result.get.value == bytes([result.id % 8]) * size for result in stream.results())


def test_large_values_go_both_ways(client, stream, key):
    values = {number: bytes([number]) * MIB for number in range(12)}
    for number, value in values.items():
        stream.send(operation(number, set=put(key + b"%d" % number, value)))
    eventually(lambda: len(stream.results()) == 12, "the writes")
    assert all(result.set.version for result in stream.results())
    stream.messages.clear()
    stream.send(*(operation(number, get=get(key + b"%d" % number)) for number in range(12)))
    eventually(lambda: len(stream.results()) == 12, "the reads")
    assert {result.id: result.get.value for result in stream.results()} == values
    # Each message was small enough for a client of the usual settings, or it would not be here.
    assert all(message.ByteSize() <= 4 * MIB for message in stream.messages)
    stream.messages.clear()
    batch = stream.do(batch_get=cache_pb2.BatchGetRequest(keys=[key + b"%d" % number for number in range(12)]))
    assert [answer.status for answer in batch.results] == [HIT] * 3 + [cache_pb2.STATUS_RETRY] * 9
    assert stream.end() == OK


def test_operations_are_counted(start, store):
    server = start.larderd(redis=start.redis() if store == "redis" else None)
    stream = Stream(server.client())
    stream.do(set=put(b"key", b"value"))
    for _ in range(3):
        stream.do(get=get(b"key"))
    stream.result(stream.ask(get=get(b"")))
    stream.result(stream.ask(set=put(b"key", b"value", if_absent=True)))
    stream.result(stream.ask())
    assert stream.end() == OK
    samples = server.metrics()

    def count(**labels):
        return total(samples, "cache_pipeline_operations_total", **labels)

    assert count(method="Get", code="OK") == 3
    assert count(method="Get", code="InvalidArgument") == 1
    assert count(method="Set", code="OK") == 1
    assert count(method="Set", code="Aborted") == 1
    assert count(method="unreadable", code="InvalidArgument") == 1
    assert count() == 7
    # As the calls count: by the engine, whichever way they came.
    assert total(samples, "cache_requests_total", result="hit") == 3
    assert total(samples, "grpc_server_handled_total", grpc_method="Pipeline", grpc_code="OK") == 1
    assert total(samples, "grpc_server_started_total", grpc_method="Get") == 0


def test_a_shutdown_answers_what_is_under_way_and_ends_the_streams(start, store):
    server = start.larderd(
        {"grpc": {"drain_timeout": f"{int(PATIENCE)}s"}}, redis=start.redis() if store == "redis" else None
    )
    client = server.client()
    lease_of(client, b"key")
    busy, idle = Stream(client), Stream(server.client())
    slow = busy.ask(get=waiting(b"key"))
    assert busy.do(set=put(b"other", b"value")).version
    assert idle.do(get=get(b"other")).value == b"value"
    begin = time.monotonic()
    server.process.send(signal.SIGTERM)
    # Whoever waits for somebody else's load is told that there is nothing.
    assert busy.result(slow).get.status == MISS
    for stream in (busy, idle):
        assert stream.code() == grpc.StatusCode.UNAVAILABLE
        assert stream.details() == "the server is shutting down"
        stream.half_close()
    assert server.process.wait() == 0
    assert time.monotonic() - begin < PATIENCE / 2


def test_a_shutdown_under_load_answers_or_refuses(start, store):
    server = start.larderd(redis=start.redis() if store == "redis" else None)
    streams = [Stream(server.client()) for _ in range(4)]
    for stream in streams:
        for begin in range(0, 30_000, 500):
            stream.send(
                *(operation(number, set=put(b"%d" % (number % 50), b"value")) for number in range(begin, begin + 500))
            )
    eventually(lambda: all(len(stream.messages) > 3 for stream in streams), "some answers on each")
    server.process.send(signal.SIGTERM)
    assert {stream.code() for stream in streams} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert server.process.wait() == 0
    for stream in streams:
        stream.half_close()
        numbers = [result.id for result in stream.results()]
        assert len(numbers) == len(set(numbers))
        assert all(result.set.version for result in stream.results())
