"""The operations server: /metrics, /healthz, /readyz."""

import math
import pathlib
import re
import time

import grpc
import pytest
from larder.v1 import cache_pb2

from harness import PATIENCE, eventually, fails, parse_metrics, refused, total

OPERATIONS_MD = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"

JOB = {"file": "/nowhere/entries.jsonl", "at_start": False}
ORIGIN = {"target": "127.0.0.1:1"}  # never asked
CONFIG = {
    # So that no news of our own writes comes between what is counted.
    "near": {"coherence": "age"},
    "namespaces": {"shop": {"near_max_age": "1h", "warm_jobs": {"entries": JOB}}, "loaded": {"origin": ORIGIN}},
}

# Every family of metrics and its labels. Dashboards and alerts are built on them: what changes here changes for
# operators, and belongs into docs/operations.md and the changelog.
CALL = {"grpc_service", "grpc_method", "grpc_type"}
METRICS = {
    ("cache_absent_serves_total", "counter"): {"namespace"},
    ("cache_breaker_state", "gauge"): set(),
    ("cache_coherence_mode", "gauge"): {"mode"},
    ("cache_members", "gauge"): set(),
    ("cache_strong_writes_total", "counter"): {"result"},
    ("cache_strong_wait_seconds", "histogram"): set(),
    ("cache_near_losses_total", "counter"): set(),
    ("cache_near_renewals_total", "counter"): set(),
    ("cache_tracked_changes_total", "counter"): set(),
    ("cache_degraded_serves_total", "counter"): {"namespace"},
    ("cache_journal_deferred_total", "counter"): set(),
    ("cache_journal_entries", "gauge"): {"namespace"},
    ("cache_journal_overflows_total", "counter"): set(),
    ("cache_journal_replayed_total", "counter"): set(),
    ("cache_evictions_total", "counter"): {"namespace", "reason"},
    ("cache_fill_seconds", "histogram"): {"namespace"},
    ("cache_fills_total", "counter"): {"namespace", "result"},
    ("cache_invalidations_total", "counter"): {"namespace", "kind", "result"},
    ("cache_leases_total", "counter"): {"namespace", "result"},
    ("cache_live_patterns", "gauge"): {"namespace"},
    ("cache_live_tags", "gauge"): {"namespace"},
    ("cache_near_bytes", "gauge"): {"namespace"},
    ("cache_near_capacity_bytes", "gauge"): {"namespace"},
    ("cache_near_entries", "gauge"): {"namespace"},
    ("cache_operation_seconds", "histogram"): {"namespace", "operation", "result"},
    ("cache_origin_breaker_state", "gauge"): {"namespace"},
    ("cache_origin_call_seconds", "histogram"): {"namespace"},
    ("cache_origin_calls_total", "counter"): {"namespace", "result"},
    ("cache_origin_keys_total", "counter"): {"namespace", "result"},
    ("cache_origin_queued", "gauge"): {"namespace"},
    ("cache_pipeline_held_total", "counter"): {"limit"},
    ("cache_pipeline_operations_total", "counter"): {"method", "code"},
    ("cache_pipelines", "gauge"): set(),
    ("cache_requests_total", "counter"): {"namespace", "tier", "result"},
    ("cache_shed_total", "counter"): {"reason"},
    ("cache_store_disconnects_total", "counter"): set(),
    ("cache_store_errors_total", "counter"): {"operation"},
    ("cache_store_evictions_total", "counter"): set(),
    ("cache_store_keys", "gauge"): set(),
    ("cache_store_memory_max_bytes", "gauge"): set(),
    ("cache_store_memory_used_bytes", "gauge"): set(),
    ("cache_store_operation_seconds", "histogram"): {"operation"},
    ("cache_store_round_trip_seconds", "gauge"): set(),
    ("cache_store_unreadable_entries_total", "counter"): set(),
    ("cache_store_up", "gauge"): set(),
    ("cache_stale_serves_total", "counter"): {"namespace"},
    ("cache_sweep_running", "gauge"): {"namespace"},
    ("cache_swept_total", "counter"): {"namespace"},
    ("cache_waiting", "gauge"): {"namespace"},
    ("cache_waits_total", "counter"): {"namespace", "result"},
    ("cache_warm_job_last_success_timestamp_seconds", "gauge"): {"namespace", "job"},
    ("cache_warm_job_running", "gauge"): {"namespace", "job"},
    ("cache_warm_keys_total", "counter"): {"namespace", "job", "result"},
    ("cache_watch_cut_off_total", "counter"): set(),
    ("cache_watch_events_total", "counter"): {"namespace"},
    ("cache_watch_gaps_total", "counter"): set(),
    ("cache_watchers", "gauge"): set(),
    ("cache_writes_total", "counter"): {"namespace", "operation", "result"},
    ("grpc_server_handled_total", "counter"): CALL | {"grpc_code"},
    ("grpc_server_handling_seconds", "histogram"): CALL,
    ("grpc_server_started_total", "counter"): CALL,
    ("larder_build_info", "gauge"): {"version"},
    ("larder_memory_limit_bytes", "gauge"): set(),
    ("process_cpu_seconds_total", "counter"): set(),
    ("process_max_fds", "gauge"): set(),
    ("process_open_fds", "gauge"): set(),
    ("process_resident_memory_bytes", "gauge"): set(),
    ("process_start_time_seconds", "gauge"): set(),
}


class Difference:
    """What the counters rose by since this was made."""

    def __init__(self, server):
        self.server = server
        self.before = server.metrics()

    def of(self, name, **labels):
        return total(self.server.metrics(), name, **labels) - total(self.before, name, **labels)


def families(text):
    """The families by name and type, with the labels that their samples have, a bucket's bound apart."""
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE "))
    found = {item: set() for item in types.items()}
    for name, labels in parse_metrics(text):
        family = name if name in types else re.sub(r"_(bucket|count|sum)$", "", name)
        found[family, types[family]] |= {label for label, _ in labels} - {"le"}
    return found


def test_the_metrics_are_those_that_are_documented(server):
    assert families(server.http("/metrics")[1]) == METRICS
    described = {}
    for line in OPERATIONS_MD.read_text("utf-8").splitlines():
        if row := re.match(r"\| `(\w+)` \| (\w+) \| (.*?) \|", line):
            described[row[1], row[2]] = set(re.findall(r"`(\w+)`", row[3]))
    assert described == METRICS


def test_metrics_are_in_the_exposition_format(server):
    status, text, headers = server.http("/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert described == {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    for name in ("cache_requests_total", "cache_near_bytes", "grpc_server_handling_seconds"):
        assert name in described
    assert text.endswith("\n")


def test_build_and_coherence_are_told(server, store):
    samples = server.metrics()
    assert total(samples, "larder_build_info") == 1
    assert total(samples, "cache_coherence_mode", mode="exclusive" if store == "embedded" else "age") == 1
    assert total(samples, "cache_store_up") == 1


def test_the_store_tells_of_itself(server, client, key, store):
    client.set(key, b"value", namespace="shop")
    least = server.redis.command("DBSIZE") if store == "redis" else 1
    eventually(lambda: total(server.metrics(), "cache_store_keys") >= least, "a look at the store")
    samples = server.metrics()
    assert total(samples, "cache_breaker_state") == 0
    assert total(samples, "cache_store_memory_used_bytes") > 0
    if store == "embedded":
        assert total(samples, "cache_store_memory_max_bytes") > 1 << 20
        return
    assert total(samples, "cache_store_memory_max_bytes") == 0
    assert 0 < total(samples, "cache_store_round_trip_seconds") < PATIENCE


def test_what_is_known_of_a_store_is_forgotten_with_it(start):
    redis = start.redis()
    server = start.larderd(redis=redis)
    eventually(lambda: total(server.metrics(), "cache_store_memory_used_bytes") > 0, "the first look at the store")
    redis.kill()
    eventually(lambda: total(server.metrics(), "cache_breaker_state") == 2, "the breaker being open")
    samples = server.metrics()
    assert total(samples, "cache_store_up") == 0
    for name in ("cache_store_memory_used_bytes", "cache_store_memory_max_bytes", "cache_store_keys"):
        assert math.isnan(total(samples, name))
    eventually(lambda: total(server.metrics(), "cache_store_disconnects_total") == 1, "the loss being counted")
    assert redis.start()
    eventually(lambda: total(server.metrics(), "cache_breaker_state") == 0, "the breaker being closed")
    eventually(lambda: total(server.metrics(), "cache_store_memory_used_bytes") > 0, "the next look at the store")


def test_the_process_tells_of_itself(server):
    samples = server.metrics()
    memory = total(samples, "process_resident_memory_bytes")
    assert 1 << 20 < memory < total(samples, "larder_memory_limit_bytes")
    assert 3 < total(samples, "process_open_fds") < total(samples, "process_max_fds")
    assert total(samples, "process_cpu_seconds_total") > 0
    assert abs(total(samples, "process_start_time_seconds") - time.time()) < 3600


def test_counters_rise_by_what_was_done(server, client, key):
    rose = Difference(server)
    for _ in range(2):
        client.set(key, b"value", namespace="shop")
    for _ in range(5):
        client.get(key, namespace="shop")
    for _ in range(3):
        client.get(key, namespace="shop", read_from=cache_pb2.READ_FROM_STORE)
    client.batch_get([key, key, b"nothing"], namespace="shop")
    client.get(b"nothing", namespace="shop")
    for _ in range(4):
        with refused("key: empty, must be 1 to 512 bytes"):
            client.get(b"", namespace="shop")
    with fails(grpc.StatusCode.ABORTED):
        client.set(key, b"value", namespace="shop", if_absent=True)
    client.invalidate(keys=[key, b"nothing"], namespace="shop")
    client.invalidate(all=True, namespace="shop")

    requests = {"near": ("hit", 7), "store": ("hit", 3), "none": ("miss", 2)}
    for tier, (result, count) in requests.items():
        assert rose.of("cache_requests_total", namespace="shop", tier=tier, result=result) == count
    assert rose.of("cache_requests_total", namespace="shop", result="refused") == 4
    assert rose.of("cache_requests_total", namespace="default") == 0
    assert rose.of("cache_invalidations_total", namespace="shop", kind="key", result="ok") == 2
    assert rose.of("cache_invalidations_total", namespace="shop", kind="all", result="ok") == 1

    handled = {
        ("Get", "OK"): 9,
        ("Get", "InvalidArgument"): 4,
        ("Set", "OK"): 2,
        ("Set", "Aborted"): 1,
        ("BatchGet", "OK"): 1,
        ("Invalidate", "OK"): 2,
    }
    for (method, code), count in handled.items():
        assert rose.of("grpc_server_handled_total", grpc_method=method, grpc_code=code) == count
    for method, count in {"Get": 13, "Set": 3, "BatchGet": 1, "Invalidate": 2, "Touch": 0}.items():
        assert rose.of("grpc_server_started_total", grpc_method=method) == count
        assert rose.of("grpc_server_handling_seconds_count", grpc_method=method) == count


def test_near_gauges_follow_what_is_there(server, client, key):
    client.invalidate(all=True, namespace="shop")
    rose = Difference(server)
    keys = [key + b"%d" % i for i in range(10)]
    for each in keys:
        client.set(each, b"v" * 10_000, namespace="shop")
    assert rose.of("cache_near_entries", namespace="shop") == 10
    assert 100_000 < rose.of("cache_near_bytes", namespace="shop") < 110_000
    client.invalidate(keys=keys, namespace="shop")
    assert rose.of("cache_near_entries", namespace="shop") == 0
    assert rose.of("cache_near_bytes", namespace="shop") == 0
    assert rose.of("cache_evictions_total", namespace="shop", reason="invalidated") == 10


def test_evictions_are_counted(start):
    server = start.larderd({"near": {"capacity_bytes": "1MiB"}})
    client = server.client()
    for i in range(300):
        client.set(b"%d" % i, b"v" * 10_000)
    samples = server.metrics()
    there = total(samples, "cache_near_entries")
    assert 50 < there < 110
    assert total(samples, "cache_near_bytes") <= 1 << 20
    # Pushed out, or never let in.
    assert total(samples, "cache_evictions_total", reason="capacity") == 300 - there


def test_a_stream_is_counted_once(server, client, key):
    rose = Difference(server)
    client.warm([cache_pb2.WarmRequest(key=key + b"%d" % i, value=b"v") for i in range(10)])
    eventually(lambda: rose.of("grpc_server_handled_total", grpc_method="Warm", grpc_code="OK") == 1, "its end")
    assert rose.of("grpc_server_started_total", grpc_method="Warm") == 1


def test_alive_and_ready(server):
    assert server.http("/healthz")[:2] == (200, "ok\n")
    assert server.http("/readyz")[:2] == (200, "ready\nstore: ready\n")


def test_head_answers_like_get(server):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert server.http(path, "HEAD")[:2] == (200, "")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/Metrics", "/admin", "/healthz/x"])
def test_other_paths_are_not_found(server, path):
    assert server.http(path)[0] == 404


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(server, path, method):
    status, _, headers = server.http(path, method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_query_is_not_looked_at(server):
    assert server.http("/healthz?full=1")[0] == 200
