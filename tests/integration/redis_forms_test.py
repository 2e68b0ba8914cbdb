"""Redis by a unix socket, over TLS, and behind Sentinel, as the server meets it that is configured for it."""

import json
import subprocess
import threading
import time

import grpc
import pytest

import harness
from harness import cache_pb2

MASTER = "mymaster"


def make_certificates(folder):
    """An authority and a certificate of its for 127.0.0.1; another authority."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("authority", "stranger"):
        out = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        openssl("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name}", *out)
    openssl("req", *new_key, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1\n", "ascii")
    signed_by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"]
    names = ["-extfile", "server.ext"]
    openssl("x509", "-req", "-days", "2", "-in", "server.csr", *signed_by, *names, "-out", "server.pem")
    return folder


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def tls_redis(start, certificates, *more):
    """A Redis that listens for TLS on `tls_port` besides."""
    port = harness.free_port()
    files = ["--tls-cert-file", certificates / "server.pem", "--tls-key-file", certificates / "server.key"]
    trust = ["--tls-ca-cert-file", certificates / "authority.pem", "--tls-auth-clients", "no"]
    redis = start.redis(arguments=["--tls-port", str(port), *map(str, files + trust), *more])
    redis.tls_port = port
    return redis


def serves(server):
    """What is set is read back from Redis, and tells when it is not."""
    client = server.client()
    client.set(b"key", b"value")
    answer = client.get(b"key", read_from=cache_pb2.READ_FROM_STORE)
    return answer.value == b"value"


def started(start, redis, environment=None, **options):
    config = {"store": {"redis": options}}
    return start.larderd(config, environment=environment, redis=redis)


def test_by_a_unix_socket(start, tmp_path):
    path = tmp_path / "redis.sock"
    redis = start.redis(arguments=["--unixsocket", str(path)])
    server = started(start, redis, url=f"unix://{path}")
    assert serves(server)
    assert server.client().stats().store.address == str(path)
    redis.kill()
    harness.eventually(lambda: "store: ready" not in server.http("/readyz")[1], "the loss being noticed")
    redis.start()
    harness.eventually(lambda: "store: ready" in server.http("/readyz")[1], "Redis being reached again")
    assert serves(server)


@pytest.mark.parametrize("how", ["url", "environment"])
def test_over_tls(start, certificates, how):
    redis = tls_redis(start, certificates)
    address = f"127.0.0.1:{redis.tls_port}"
    tls = {"ca_file": str(certificates / "authority.pem")}
    if how == "url":
        server = started(start, redis, url=f"rediss://{address}", tls=tls)
    else:
        server = started(start, redis, url=f"redis://{address}", tls=tls, environment={"REDIS_SSL": "true"})
    assert serves(server)
    assert server.client().stats().store.address == address


def test_a_refused_certificate_is_told(start, certificates):
    redis = tls_redis(start, certificates)
    options = {
        "url": f"rediss://127.0.0.1:{redis.tls_port}",
        "tls": {"ca_file": str(certificates / "stranger.pem")},
    }
    server = start.larderd({"store": {"redis": options}}, redis=redis, ready=False)
    why = "the server's certificate is of a CA that is not trusted here (tls.ca_file)"
    harness.eventually(lambda: server.client().stats().store.detail == why, why)
    message = f"no connection to Redis at 127.0.0.1:{redis.tls_port}: {why}"
    assert server.logs(message)[0]["level"] == "warning"
    with harness.fails(grpc.StatusCode.UNAVAILABLE) as caught:
        server.client().set(b"key", b"value")
    assert caught[0].details().endswith(why)


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"tls": {"ca_file": "/no/such"}}, 'tls.ca_file: cannot use "/no/such": No such file or directory'),
        ({"tls": {"cert_file": "/no/such"}}, "tls.cert_file: needs key_file, its key"),
        (
            {"tls": {"cert_file": "server.pem", "key_file": "authority.key"}},
            'tls.key_file: "authority.key" is not the key of "server.pem"',
        ),
        ({"sentinel": {"password": "x"}}, "sentinel: the URL names no sentinels"),
    ],
)
def test_what_cannot_be_used_ends_the_start(certificates, tmp_path, options, problem):
    config = tmp_path / "larder.json"
    config.write_text(json.dumps({"store": {"redis": {"url": "rediss://localhost", **options}}}), "utf-8")
    ended = subprocess.run(
        [harness.LARDERD, "--config", str(config)],
        cwd=certificates,
        env=harness.clean_environment(),
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == f"larderd: store.redis.{problem}\n"


class Fleet:
    """A master, two replicas and three sentinels."""

    def __init__(self, start):
        fast = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        self.servers = [start.redis(arguments=fast) for _ in range(3)]
        for replica in self.servers[1:]:
            replica.command("REPLICAOF", "127.0.0.1", self.servers[0].port)
        self.sentinels = [start.redis(kind=harness.Sentinel) for _ in range(3)]
        for sentinel in self.sentinels:
            sentinel.command("SENTINEL", "MONITOR", MASTER, "127.0.0.1", self.servers[0].port, 2)
            sentinel.command("SENTINEL", "SET", MASTER, "down-after-milliseconds", 500, "failover-timeout", 10000)
        harness.eventually(self._complete, "the sentinels knowing all", 60)

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def _complete(self):
        for sentinel in self.sentinels:
            state = sentinel.command("SENTINEL", "MASTER", MASTER)
            state = dict(zip(state[::2], state[1::2]))
            if state[b"num-slaves"] != b"2" or state[b"num-other-sentinels"] != b"2":
                return False
        return all(b"master_link_status:up" in replica.command("INFO", "replication") for replica in self.servers[1:])

    def agree_on(self, port):
        """Until then one of them may send whoever asks back to the old master."""
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return all(int(sentinel.command(*question)[1]) == port for sentinel in self.sentinels)

    def named(self):
        """The port of the first master that a sentinel names and that takes a write, other than the first one."""
        for sentinel in self.sentinels:
            port = int(sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])
            if port == self.servers[0].port:
                continue
            master = next(server for server in self.servers if server.port == port)
            try:
                master.command("SET", "probe", "1")
            except (AssertionError, OSError):
                continue
            return port
        return None


def test_a_failover_is_followed(start):
    """COHERENCE C3, and back within the sentinels' own time and a second."""
    fleet = Fleet(start)
    options = {"url": fleet.url, "operation_timeout": "2s"}
    server = start.larderd({"store": {"redis": options}}, redis=fleet.servers[0])
    assert serves(server)
    address = server.client().stats().store.address
    assert address.startswith(f'127.0.0.1:{fleet.servers[0].port}, master "{MASTER}" (sentinels ')

    stop = threading.Event()
    successes = []

    def load(name):
        client = server.client()
        count = 0
        while not stop.is_set():
            count += 1
            try:
                client.set(f"{name}-{count % 20}".encode(), b"value")
            except grpc.RpcError:
                stop.wait(0.005)
                continue
            successes.append(time.monotonic())

    threads = [threading.Thread(target=load, args=(f"load{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        harness.eventually(lambda: len(successes) > 100, "load")
        killed = time.monotonic()
        fleet.servers[0].kill()
        port = harness.eventually(fleet.named, "another master", 60)
        named = time.monotonic()
        harness.eventually(lambda: successes[-1] > named, "service", 60)
        back = successes[-1]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"sentinels' own time {named - killed:.3f} s, service back {back - named:.3f} s later")
    assert back - named <= 1

    # What the old master acknowledged may be missing there, so nothing from before is served.
    assert server.client().get(b"key").status == cache_pb2.STATUS_MISS
    assert server.client().stats().store.address.startswith(f"127.0.0.1:{port}, ")
    harness.eventually(lambda: fleet.agree_on(port), "all sentinels naming the new master", 60)
    fleet.servers[0].start()
    harness.eventually(lambda: b"role:slave" in fleet.servers[0].command("INFO", "replication"), "its new role", 60)
    assert serves(server)
    assert server.client().stats().store.address.startswith(f"127.0.0.1:{port}, ")
