"""Conditional writes by many callers at once."""

import concurrent.futures

import grpc
from larder.v1 import cache_pb2

CALLERS = 8
INCREMENTS = 25


def run_at_once(server, work):
    """`work(number, client)` on a thread and a connection each."""
    clients = [server.client() for _ in range(CALLERS)]
    for client in clients:
        grpc.channel_ready_future(client.channel).result(client.timeout)
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(work, range(CALLERS), clients))


def test_no_increment_is_lost(server, client, key):
    client.set(key, b"0")

    def increment(_, caller):
        aborted = 0
        for _ in range(INCREMENTS):
            read_from = cache_pb2.READ_FROM_UNSPECIFIED
            while True:
                hit = caller.get(key, read_from=read_from)
                assert hit.status == cache_pb2.STATUS_HIT
                try:
                    caller.set(key, b"%d" % (int(hit.value) + 1), if_version=hit.version)
                    break
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.ABORTED, error
                    aborted += 1
                    read_from = cache_pb2.READ_FROM_STORE
        return aborted

    run_at_once(server, increment)
    for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
        assert int(client.get(key, read_from=read_from).value) == CALLERS * INCREMENTS


def test_one_of_many_finds_the_key_absent(server, client, key):
    rounds = 30

    def claim(number, caller):
        won = []
        for each in range(rounds):
            try:
                caller.set(key + b"%d" % each, b"%d" % number, if_absent=True)
                won.append(each)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.ABORTED, error
        return won

    wins = run_at_once(server, claim)
    assert sorted(sum(wins, [])) == list(range(rounds))
    for number, won in enumerate(wins):
        for each in won:
            for read_from in (cache_pb2.READ_FROM_UNSPECIFIED, cache_pb2.READ_FROM_STORE):
                assert client.get(key + b"%d" % each, read_from=read_from).value == b"%d" % number


def test_acknowledged_writes_are_read_at_once(server, client, key):
    """Plain writes to one key by many: what a caller reads after its own write is that write or a later one."""

    def write_and_read(number, caller):
        mine = key + b"%d" % (number % 2)
        for count in range(40):
            caller.set(mine + b"-%d" % number, b"%d" % count)
            assert int(caller.get(mine + b"-%d" % number).value) == count
            version = caller.set(mine, b"%d" % number).version
            hit = caller.get(mine)
            assert hit.status == cache_pb2.STATUS_HIT
            if hit.version == version:
                assert hit.value == b"%d" % number

    run_at_once(server, write_and_read)
    for number in range(2):
        near = client.get(key + b"%d" % number)
        assert near.version == client.get(key + b"%d" % number, read_from=cache_pb2.READ_FROM_STORE).version
