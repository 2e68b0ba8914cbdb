"""What the tests share. Whatever a test starts is stopped when it ends, and every server must have ended cleanly."""

import contextlib

import pytest

import harness


class Starter:
    """Starts processes and owns them."""

    def __init__(self, tmp_path_factory):
        self._tmp_path_factory = tmp_path_factory
        self._running = contextlib.ExitStack()

    def redis(self, started=True, arguments=(), kind=harness.Redis):
        redis = kind(self._tmp_path_factory.mktemp("redis"), started, arguments)
        self._running.callback(redis.kill)
        return redis

    def larderd(self, config=None, environment=None, redis=None, ready=True):
        """`ready`: returns once the server has reached its store, if that is Redis. Redis may then take its time, on a
        busy machine, unless the configuration says otherwise."""
        config = dict(config or {})
        if redis is not None:
            options = {"url": redis.url, "operation_timeout": f"{harness.PATIENCE / 2}s"}
            config["store"] = {"redis": {**options, **config.get("store", {}).get("redis", {})}}
        server = harness.Larderd(config, environment)
        server.redis = redis
        self._running.callback(server.stop)
        if redis is not None and ready:
            harness.eventually(lambda: server.http("/readyz")[1] == "ready\nstore: ready\n", "Redis being reached")
            # Until then it serves no near entries.
            if config.get("defaults", {}).get("near_max_age") != "0s":
                harness.eventually(lambda: harness.total(server.metrics(), "cache_members") > 0, "its registration")
        return server

    def stop(self):
        self._running.close()


@pytest.fixture(name="start")
def fixture_start(tmp_path_factory):
    starter = Starter(tmp_path_factory)
    yield starter
    starter.stop()


@pytest.fixture(name="start_shared", scope="module")
def fixture_start_shared(tmp_path_factory):
    starter = Starter(tmp_path_factory)
    yield starter
    starter.stop()


@pytest.fixture(name="store", scope="module", params=["embedded", "redis"])
def fixture_store(request):
    return request.param


@pytest.fixture(name="server", scope="module")
def fixture_server(request, store, start_shared):
    """One for all tests of a file and a store; with the file's CONFIG, if it has one."""
    config = getattr(request.module, "CONFIG", None)
    return start_shared.larderd(config, redis=start_shared.redis() if store == "redis" else None)


@pytest.fixture(name="client")
def fixture_client(server):
    return server.client()


@pytest.fixture(name="key")
def fixture_key(request):
    """A key that no other test of the file uses."""
    return request.node.name.encode()
