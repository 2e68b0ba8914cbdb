"""How the server starts, and how it refuses to."""

import json
import socket
import subprocess
import threading
import time

import grpc
import pytest
from larder.v1 import cache_pb2

import harness
from harness import DIE_WITH_PARENT, LARDERD, PATIENCE, SLOW, clean_environment, eventually, fails, free_port

READ_FROM_STORE = cache_pb2.READ_FROM_STORE


def run_to_its_end(*arguments, environment=None):
    """larderd where it is not to serve."""
    done = subprocess.run(
        [*DIE_WITH_PARENT, LARDERD, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=clean_environment(**(environment or {})),
        stdin=subprocess.DEVNULL,
    )
    assert not harness.SANITIZER_REPORT.search(done.stderr), done.stderr
    return done


def refuses(*arguments, environment=None):
    """What a server that must not start says on standard error."""
    done = run_to_its_end(*arguments, environment=environment)
    assert done.returncode == 2 and done.stderr, done
    return done.stderr


@pytest.fixture(name="config")
def fixture_config(tmp_path):
    """Writes a configuration file and returns its path."""

    def write(text):
        path = tmp_path / "larder.yaml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


def test_a_file_that_is_not_there(tmp_path):
    path = str(tmp_path / "none.yaml")
    assert refuses("--config", path) == f"larderd: {path}: cannot read: No such file or directory\n"


def test_a_folder_as_the_file(tmp_path):
    assert refuses("--config", str(tmp_path)).startswith(f"larderd: {tmp_path}: ")


@pytest.mark.parametrize("text", ["grpc: [", "grpc: {threads: 2", "\t\t: :", "- a\n- list", "just words", "\x00\x01"])
def test_a_file_that_is_no_configuration(config, text):
    path = config(text)
    assert refuses("--config", path).startswith(f"larderd: {path}")


WRONG = {
    "unknown field": ("grpc:\n  thread: 4\n", ":2: grpc.thread: "),
    "wrong type": ("grpc:\n  threads: many\n", ':2: grpc.threads: "many" '),
    "out of range": ("grpc:\n  threads: 0\n", ":2: grpc.threads: 0, must be 1 to 256"),
    "no unit": ("defaults:\n  default_ttl: 300\n", ":2: defaults.default_ttl: "),
    "contradiction": ("defaults:\n  default_ttl: 2h\n  max_ttl: 1h\n", ":2: defaults.default_ttl: 2h is above"),
    "no namespace's name": ("namespaces:\n  Shop: {}\n", ":2: namespaces.Shop: "),
    "no address": ("grpc:\n  listen: nowhere\n", ':2: grpc.listen: "nowhere" is not an address'),
    "no URL": ("store:\n  redis:\n    url: http://here\n", ':3: store.redis.url: "http://here" is not a URL'),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_named_with_its_line(config, wrong):
    text, expected = WRONG[wrong]
    path = config(text)
    said = refuses("--config", path)
    assert said.startswith(f"larderd: {path}{expected}"), said
    assert said.count("\n") == 1, said


def test_everything_that_is_wrong_is_told_at_once(config):
    path = config("grpc:\n  thread: 4\n  listen: nowhere\ndefaults:\n  ttl_jitter: 2\n")
    said = refuses("--config", path, environment={"REDIS_DB": "x", "CACHE_ENABLED": "perhaps"})
    lines = said.splitlines()
    places = [f"{path}:2: grpc.thread: ", f"{path}:3: grpc.listen: ", f"{path}:5: defaults.ttl_jitter: "]
    for place in [*places, "REDIS_DB: store.redis.database: ", "CACHE_ENABLED: "]:
        assert sum(line.startswith("larderd: " + place) for line in lines) == 1, said
    assert len(lines) == 5, said


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["surplus"], ["--config"]])
def test_an_unknown_flag(arguments):
    assert arguments[0] in refuses(*arguments)


def test_a_good_file_is_checked_without_serving(config):
    done = run_to_its_end("--config", config("defaults:\n  default_ttl: 1h\n"), "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert ":2: grpc.threads: 0" in refuses("--check", "--config", config("grpc:\n  threads: 0\n"))


def test_what_is_printed_is_taken_and_holds_no_secret(config):
    environment = {"REDIS_URL": "redis://user:secret@127.0.0.1:1/3", "CACHE_TTL_WEEKLY": "7d"}
    printed = run_to_its_end("--print-config", environment=environment)
    assert printed.returncode == 0
    assert "secret" not in printed.stdout and "weekly" in printed.stdout
    assert run_to_its_end("--check", "--config", config(printed.stdout)).returncode == 0


def listening_on(section, address):
    """A configuration with this address for the section and a free port for the other."""
    listen = {"grpc": {"listen": "127.0.0.1:0"}, "operations": {"listen": "127.0.0.1:0"}}
    listen[section]["listen"] = address
    return json.dumps(listen)


@pytest.mark.parametrize("section", ["grpc", "operations"])
def test_a_port_that_is_taken(config, section):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refuses("--config", config(listening_on(section, address)))
    reason = f"larderd: {section}.listen: cannot listen on {address}"
    assert sum(line.startswith(reason) for line in said.splitlines()) == 1, said


@pytest.mark.parametrize("section", ["grpc", "operations"])
def test_the_port_of_another_server(start, config, section):
    other = start.larderd()
    address = f"127.0.0.1:{other.port if section == 'grpc' else other.operations_port}"
    said = refuses("--config", config(listening_on(section, address)))
    assert f"larderd: {section}.listen: cannot listen on {address}" in said


def test_no_operations_server_if_none_is_wanted(start):
    server = start.larderd({"operations": {"listen": ""}})
    assert server.operations_port == 0
    server.client().set(b"key", b"value")


def test_a_port_is_free_again_at_once(start):
    port = free_port()
    for _ in range(3):
        server = start.larderd({"grpc": {"listen": f"127.0.0.1:{port}"}})
        assert server.port == port
        server.client().set(b"key", b"value")
        server.stop()


# --- Redis is not there ---

# What a call may take that cannot be served, in seconds.
QUICKLY = 0.5 if SLOW else 0.1


def test_without_redis_the_server_starts_and_says_so(start):
    server = start.larderd(redis=start.redis(started=False), ready=False)
    client = server.client()
    grpc.channel_ready_future(client.channel).result(PATIENCE)
    eventually(lambda: client.stats().store.state == "down", "the store being told as down")

    calls = {
        "get": lambda: client.get(b"key"),
        "from the store": lambda: client.get(b"key", read_from=READ_FROM_STORE),
        "set": lambda: client.set(b"key", b"value"),
        "touch": lambda: client.touch(b"key"),
        "batch get": lambda: client.batch_get([b"key"]),
    }
    for name, call in calls.items():
        took = []
        for _ in range(5):
            with fails(grpc.StatusCode.UNAVAILABLE) as caught:
                begin = time.monotonic()
                call()
            took.append(time.monotonic() - begin)
            assert "refused" in caught[0].details().lower(), caught[0].details()
        assert min(took) < QUICKLY, f"{name} took {took}"
    assert client.invalidate(keys=[b"key"]).deferred
    assert client.invalidate(all=True).deferred
    (result,) = client.batch_set([cache_pb2.SetRequest(key=b"key", value=b"value")])
    assert result.code == grpc.StatusCode.UNAVAILABLE.value[0] and result.message
    (progress,) = client.warm([cache_pb2.WarmRequest(key=b"key", value=b"value")])
    assert (progress.finished, progress.failed) == (True, 1)

    assert server.http("/healthz")[0] == 200
    status, body, _ = server.http("/readyz")
    ready, store, *advice = body.splitlines()
    assert (status, ready) == (200, "ready") and store in ("store: down", "store: connecting")
    assert len(advice) == 2 and all(line.startswith("advice: ") for line in advice), advice
    told = client.stats().store
    assert told.kind == "redis" and told.detail
    assert harness.total(server.metrics(), "cache_store_up") == 0


def test_the_loss_of_redis_and_its_return_are_logged(start):
    redis = start.redis()
    server = start.larderd(redis=redis)
    redis.kill()
    lost = server.process.wait_for_line(lambda line: log_of_redis(line, redis, "warning"), "log of the loss")
    assert redis.start()
    after = server.process.lines.index(lost)
    server.process.wait_for_line(lambda line: log_of_redis(line, redis, "info"), "log of the return", after)


def log_of_redis(line, redis, level):
    log = harness.parse_log(line)
    return line if log and log.get("level") == level and f":{redis.port}" in line else None


def test_calls_are_served_soon_after_redis_appears(start):
    redis = start.redis(started=False)
    server = start.larderd(redis=redis, ready=False)
    client = server.client()
    eventually(lambda: client.stats().store.state == "down", "the store being told as down")
    with fails(grpc.StatusCode.UNAVAILABLE):
        client.set(b"key", b"value")

    first_success = threading.Event()
    stop = threading.Event()

    def keep_trying():
        while not stop.is_set():
            try:
                client.set(b"key", b"value")
                first_success.set()
                return
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE
                stop.wait(0.01)

    trying = threading.Thread(target=keep_trying)
    trying.start()
    try:
        assert redis.start()
        assert first_success.wait(2.0), "no call succeeded within 2 s"
        assert client.get(b"key", read_from=READ_FROM_STORE).value == b"value"
        assert client.stats().store.state == "ready"
        assert server.http("/readyz")[:2] == (200, "ready\nstore: ready\n")
    finally:
        stop.set()
        trying.join()


def test_a_redis_that_wants_a_password(start):
    redis = start.redis()
    redis.command("CONFIG", "SET", "requirepass", "open sesame")
    without = start.larderd(redis=redis, ready=False).client()
    told = eventually(lambda: next((s for s in [without.stats().store] if s.state == "down"), None), "no way in")
    assert "NOAUTH" in told.detail or "authentication" in told.detail.lower(), told.detail
    with fails(grpc.StatusCode.UNAVAILABLE):
        without.set(b"key", b"value")
    password = start.larderd({"store": {"redis": {"password": "open sesame"}}}, redis=redis).client()
    eventually(lambda: password.stats().store.state == "ready", "a way in with the password")
    password.set(b"key", b"value")


def test_two_servers_share_a_redis(start):
    redis = start.redis()
    one, other = (start.larderd(redis=redis).client() for _ in range(2))
    version = one.set(b"key", b"value", content_type="text/plain").version
    hit = other.get(b"key")
    assert (hit.version, hit.value, hit.content_type) == (version, b"value", "text/plain")
    other.set(b"key", b"newer", if_version=version)
    assert one.get(b"key", read_from=READ_FROM_STORE).value == b"newer"
    eventually(lambda: one.get(b"key").value == b"newer", "the near tier's bound", timeout=2.0)
    one.invalidate(all=True)
    assert other.get(b"key", read_from=READ_FROM_STORE).status == cache_pb2.STATUS_MISS


def test_prefixes_and_databases_are_apart(start):
    redis = start.redis()
    choices = [{}, {"prefix": "other"}, {"database": 3}]
    clients = [start.larderd({"store": {"redis": choice}}, redis=redis).client() for choice in choices]
    for i, client in enumerate(clients):
        client.set(b"key", b"%d" % i)
    for i, client in enumerate(clients):
        assert client.get(b"key", read_from=READ_FROM_STORE).value == b"%d" % i
