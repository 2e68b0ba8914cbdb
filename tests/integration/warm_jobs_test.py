"""Configured warm-ups: at the start, on a schedule, by name; what holds readiness; the hottest keys past a restart."""

import concurrent.futures
import json
import time

import grpc
import health_pb2
import pytest
from larder.v1 import admin_pb2, admin_pb2_grpc, origin_pb2, origin_pb2_grpc

from harness import PATIENCE, eventually, free_port, refused, run_larder, total

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Origin(origin_pb2_grpc.OriginServicer):
    """A system of record that has every key, and remembers what it was asked for."""

    def __init__(self):
        self.loads = []  # when, key
        self.names = []
        self.open = True
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        origin_pb2_grpc.add_OriginServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def loaded(self):
        return [key for _, key in self.loads]

    def Load(self, request, context):  # noqa: N802
        eventually(lambda: self.open or not context.is_active(), "the origin being open")
        self.loads += [(time.monotonic(), key) for key in request.keys]
        return origin_pb2.LoadResponse(results=[origin_pb2.LoadedKey(value=b"of " + key) for key in request.keys])

    def Enumerate(self, request, context):  # noqa: N802
        names = [name for name in self.names if name.startswith(request.prefix)]
        for start in range(0, len(names), 1000):
            yield origin_pb2.EnumerateResponse(keys=names[start : start + 1000])


@pytest.fixture(name="origin")
def fixture_origin():
    origin = Origin()
    yield origin
    origin.open = True
    origin.server.stop(None).wait()


def config_of(origin, jobs, port=None):
    target = f"127.0.0.1:{port or origin.port}"
    return {"namespaces": {"shop": {"origin": {"target": target, "hard_timeout": "60s"}, "warm_jobs": jobs}}}


def admin_of(server):
    return admin_pb2_grpc.AdminStub(server.client().channel)


def job_of(server, name="w"):
    answer = admin_of(server).WarmJobs(admin_pb2.WarmJobsRequest(), timeout=PATIENCE)
    return next(job for job in answer.jobs if job.job == name)


def when_ended(server, name="w"):
    ended = (admin_pb2.WARM_JOB_STATE_DONE, admin_pb2.WARM_JOB_STATE_FAILED)
    return eventually(lambda: (job := job_of(server, name)).state in ended and job, f"the end of {name}")


@pytest.fixture(name="redis_of", params=["embedded", "redis"])
def fixture_redis_of(request, start):
    return start.redis() if request.param == "redis" else None


def test_keys_are_warm_after_the_start(start, origin, redis_of):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a", "b"]}}), redis=redis_of)
    job = when_ended(server)
    assert (job.state, job.found, job.written) == (admin_pb2.WARM_JOB_STATE_DONE, 2, 2)
    client = server.client()
    assert client.get(b"a", namespace="shop").value == b"of a"
    assert sorted(origin.loaded()) == [b"a", b"b"]
    samples = server.metrics()
    assert total(samples, "cache_warm_keys_total", namespace="shop", job="w", result="written") == 2
    assert total(samples, "cache_warm_job_running", job="w") == 0
    assert abs(total(samples, "cache_warm_job_last_success_timestamp_seconds", job="w") - time.time()) < 60


def test_a_fleet_loads_each_key_once_and_each_replica_is_warm(start, origin):
    redis = start.redis()
    config = config_of(origin, {"w": {"prefix": "p"}})
    origin.names = [b"p%d" % i for i in range(3000)] + [b"x"]
    servers = [start.larderd(config, redis=redis) for _ in range(2)]
    jobs = [when_ended(server) for server in servers]
    assert [job.found for job in jobs] == [3000, 3000]
    assert sorted(origin.loaded()) == sorted(origin.names[:-1])
    assert sum(job.written for job in jobs) == 3000
    assert sum(job.failed for job in jobs) == 0
    # The news of a load takes what it loaded out of the near tier, which the next read brings back.
    for server in servers:
        client = server.client()
        for first in range(0, 3000, 500):
            names = origin.names[first : first + 500]
            answers = eventually(
                lambda c=client, n=names: (a := c.batch_get(n, namespace="shop")) and all(x.value for x in a) and a,
                "what was loaded",
            )
            assert [answer.value for answer in answers] == [b"of " + name for name in names]
        assert total(server.metrics(), "cache_near_entries", namespace="shop") > 2500
    assert len(origin.loaded()) == 3000


def test_a_file_of_entries(start, origin, tmp_path):
    path = tmp_path / "entries.jsonl"
    lines = [{"key": "a", "value": "1", "ttl": "1h", "tags": ["t"]}, {"key": "b", "absent": True}, {"value": "keyless"}]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    server = start.larderd({"namespaces": {"shop": {"warm_jobs": {"w": {"file": str(path)}}}}})
    job = when_ended(server)
    assert (job.state, job.written, job.failed) == (admin_pb2.WARM_JOB_STATE_DONE, 2, 1)
    assert job.detail == "line 3: key: missing (key or key_base64)"
    assert server.client().get(b"a", namespace="shop").value == b"1"


def test_readiness_waits_for_the_job(start, origin):
    origin.open = False
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"], "hold_readiness": "1h"}}))
    assert server.http("/readyz")[:2] == (503, "not ready\nwarming up: shop/w\nstore: ready\n")
    assert server.http("/healthz")[0] == 200
    assert server.client().check() == NOT_SERVING
    assert server.client().check("larder.v1.Cache") == NOT_SERVING
    origin.open = True
    eventually(lambda: server.http("/readyz")[:2] == (200, "ready\nstore: ready\n"), "readiness")
    eventually(lambda: server.client().check() == SERVING, "health")
    assert when_ended(server).written == 1


def test_readiness_does_not_wait_longer_than_it_may(start, origin):
    origin.open = False
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"], "hold_readiness": "1s"}}))
    eventually(lambda: server.http("/readyz")[0] == 200, "readiness")
    assert job_of(server).state == admin_pb2.WARM_JOB_STATE_RUNNING
    assert server.client().check() == SERVING


def test_an_origin_that_is_down_fails_the_job_and_not_the_server(start, origin):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a", "b"], "hold_readiness": "10s"}}, port=free_port()))
    job = when_ended(server)
    assert (job.state, job.failed) == (admin_pb2.WARM_JOB_STATE_FAILED, 2)
    assert job.detail.startswith("every one failed; the last: ")
    eventually(lambda: server.http("/readyz")[0] == 200, "readiness")
    assert server.wait_for_log("a warm-up failed")["job"] == "w"
    assert total(server.metrics(), "cache_warm_job_last_success_timestamp_seconds") == 0


def test_a_schedule(start, origin):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"], "at_start": False, "every": "1s"}}))
    assert job_of(server).state == admin_pb2.WARM_JOB_STATE_WAITING
    when_ended(server)
    server.client().invalidate(keys=[b"a"], namespace="shop")
    eventually(lambda: origin.loaded().count(b"a") == 2, "the second run")
    assert 0.9 < origin.loads[1][0] - origin.loads[0][0]


def test_the_rate_is_kept(start, origin):
    origin.names = [b"p%d" % i for i in range(150)]
    server = start.larderd(config_of(origin, {"w": {"prefix": "p", "max_per_second": 50, "concurrency": 100}}))
    assert when_ended(server).written == 150
    assert job_of(server).elapsed_ms >= 2900
    times = [when for when, _ in origin.loads]
    # The way to the origin may bunch what left apart: a batch's time and a machine's moods.
    assert max(sum(1 for other in times if when <= other < when + 1) for when in times) <= 65


def test_warming_that_is_off_leaves_the_jobs_to_their_names(start, origin):
    config = config_of(origin, {"w": {"keys": ["a"], "hold_readiness": "1h", "every": "1s"}})
    server = start.larderd(config, environment={"CACHE_WARMING_ENABLED": "false"})
    assert server.http("/readyz")[0] == 200
    assert job_of(server).state == admin_pb2.WARM_JOB_STATE_WAITING
    stream = admin_of(server).RunWarmJob(admin_pb2.RunWarmJobRequest(job="w"), timeout=PATIENCE)
    last = list(stream)[-1]
    assert (last.state, last.written, last.namespace) == (admin_pb2.WARM_JOB_STATE_DONE, 1, "shop")


def test_a_run_is_joined(start, origin):
    origin.open = False
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"]}}))
    streams = [admin_of(server).RunWarmJob(admin_pb2.RunWarmJobRequest(job="w"), timeout=PATIENCE) for _ in range(2)]
    assert [next(stream).state for stream in streams] == [admin_pb2.WARM_JOB_STATE_RUNNING] * 2
    origin.open = True
    assert [list(stream)[-1].state for stream in streams] == [admin_pb2.WARM_JOB_STATE_DONE] * 2
    assert origin.loaded() == [b"a"]


def test_a_job_that_there_is_not(start, origin):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"]}}))
    with refused('job: "x" is not configured'):
        list(admin_of(server).RunWarmJob(admin_pb2.RunWarmJobRequest(job="x"), timeout=PATIENCE))


def test_a_server_that_stops_ends_its_runs(start, origin):
    origin.open = False
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"]}}))
    stream = admin_of(server).RunWarmJob(admin_pb2.RunWarmJobRequest(job="w"), timeout=PATIENCE)
    assert next(stream).state == admin_pb2.WARM_JOB_STATE_RUNNING
    server.process.send(15)
    last = list(stream)[-1]
    assert (last.state, last.detail) == (admin_pb2.WARM_JOB_STATE_FAILED, "the server is about to stop")
    server.stop()


def test_a_restart_remembers_the_hottest(start, origin):
    redis = start.redis()
    config = config_of(origin, {"w": {"hottest": 2}})
    first = start.larderd(config, redis=redis)
    assert when_ended(first).found == 0
    client = first.client()
    for i in range(3000):
        client.get(b"hot", namespace="shop")
        if i % 2 == 0:
            client.get(b"warm", namespace="shop")
        if i % 10 == 0:
            client.get(b"cool", namespace="shop")
    first.stop()
    client = start.larderd({"namespaces": {"shop": {}}}, redis=redis).client()
    client.invalidate(all=True, namespace="shop")
    origin.loads = []
    second = start.larderd(config, redis=redis)
    job = when_ended(second)
    assert (job.found, job.written) == (2, 2)
    assert sorted(origin.loaded()) == [b"hot", b"warm"]


def test_the_tool_runs_and_lists_jobs(start, origin):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a", "b"], "at_start": False}}))
    done = run_larder("warm", "--job", "w", port=server.port)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"written 2, skipped 0 (not needed), failed 0; in ")
    done = run_larder("--json", "warm", "--jobs", port=server.port)
    job = json.loads(done.stdout)
    assert (job["namespace"], job["job"], job["state"], job["written"]) == ("shop", "w", "done", 2)
    assert b"shop" in run_larder("warm", "--jobs", port=server.port).stdout
    done = run_larder("warm", "--job", "x", port=server.port)
    assert (done.returncode, done.stderr) == (3, b'larder: INVALID_ARGUMENT: job: "x" is not configured\n')
    for wrong in (["warm"], ["warm", "file", "--job", "w"], ["warm", "--jobs", "--job", "w"]):
        assert run_larder(*wrong, port=server.port).returncode == 2


def test_the_tool_says_when_a_job_fails(start, origin):
    server = start.larderd(config_of(origin, {"w": {"keys": ["a"], "at_start": False}}, port=free_port()))
    done = run_larder("warm", "--job", "w", port=server.port)
    assert done.returncode == 3
    assert b"failed 1" in done.stdout
    assert done.stderr.startswith(b"larder: every one failed; the last: ")
