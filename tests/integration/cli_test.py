"""The command line tool as a process, against both stores."""

import base64
import json
import random
import struct
import subprocess

import pytest
from larder.v1 import cache_pb2

import harness
from harness import eventually, free_port, run_larder

CONFIG = {"namespaces": {"shop": {}, "replayed": {}, "unary": {}, "batched": {}, "compressed": {}}}
BINARY = bytes(range(256)) * 4 + b"\r\n"


@pytest.fixture(name="larder")
def fixture_larder(server):
    """Runs the tool against the server and checks its exit code."""

    def run(*arguments, code=0, **options):
        done = run_larder(*arguments, port=server.port, **options)
        assert done.returncode == code, done
        assert not harness.SANITIZER_REPORT.search(done.stderr.decode(errors="replace")), done.stderr
        return done

    return run


def json_lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def one_json(done):
    (line,) = json_lines(done)
    return line


@pytest.fixture(name="name")
def fixture_name(key):
    return key.decode()


def test_set_and_get(larder, client, name, key):
    said = larder("set", name, "hello", "--ttl", "1m", "--content-type", "text/plain").stdout.decode()
    hit = client.get(key, read_from=cache_pb2.READ_FROM_STORE)
    assert said == f"version {hit.version}, ttl 1m\n" or str(hit.version) in said
    assert (hit.value, hit.content_type) == (b"hello", "text/plain")
    assert hit.ttl_ms <= 60_000
    assert larder("get", name).stdout == b"hello"
    assert larder("get", name, "--from-store").stdout == b"hello"


def test_a_miss_is_exit_code_1(larder, name):
    done = larder("get", name, code=1)
    assert done.stdout == b""
    assert f'no entry under "{name}"' in done.stderr.decode()
    assert one_json(larder("--json", "get", name, code=1)) == {"status": "miss"}
    assert one_json(larder("--json", "touch", name, code=1)) == {"status": "miss"}
    larder("touch", name, code=1)


def test_binary_values_from_stdin_and_to_stdout(larder, client, name, key):
    larder("set", name, "-", stdin=BINARY)
    assert client.get(key).value == BINARY
    assert larder("get", name).stdout == BINARY
    assert larder("get", "--raw", name).stdout == BINARY


def test_binary_values_from_and_to_files(larder, client, name, key, tmp_path):
    (tmp_path / "in").write_bytes(BINARY)
    larder("set", name, "--file", str(tmp_path / "in"))
    assert client.get(key).value == BINARY
    assert larder("get", name, "-o", str(tmp_path / "out")).stdout == b""
    assert (tmp_path / "out").read_bytes() == BINARY
    larder("set", name, "-f", "-", stdin=b"")
    assert client.get(key).value == b""
    assert larder("get", name).stdout == b""


def test_keys_and_values_with_a_dash(larder, client, name):
    larder("set", "--", "-" + name, "--value")
    assert client.get(b"-" + name.encode()).value == b"--value"
    assert larder("get", "--", "-" + name).stdout == b"--value"


def test_json(larder, name):
    written = one_json(larder("--json", "set", name, "text", "--content-type", "text/plain"))
    # From the store, too, where the news of the Set has dropped it here.
    got = eventually(lambda: (it := one_json(larder("--json", "get", name)))["tier"] == "near" and it, "a near hit")
    assert written["ttl_ms"] == 300_000
    assert got["status"] == "hit" and got["fresh"] is True
    assert (got["value"], got["version"], got["content_type"]) == ("text", written["version"], "text/plain")
    assert 0 <= got["age_ms"] <= 300_000 and got["ttl_ms"] <= 300_000
    larder("set", name, "-", stdin=b"\xff\x00")
    assert base64.b64decode(one_json(larder("--json", "get", name, "--from-store"))["value_base64"]) == b"\xff\x00"
    assert one_json(larder("--json", "touch", name, "--ttl", "2s"))["ttl_ms"] == 2_000
    assert one_json(larder("--json", "invalidate", name, name + "none")) == {"dropped": 1, "all": False}
    assert one_json(larder("--json", "ping"))["status"] == "SERVING"
    assert one_json(larder("--json", "stats"))["store"]["state"] == "ready"
    for line in json_lines(larder("--json", "ping", "--count", "3")):
        assert line


def test_touch(larder, client, name, key):
    larder("set", name, "value", "--class", "realtime")
    assert "ttl" in larder("touch", name, "--ttl", "1h").stdout.decode()
    assert client.get(key).ttl_ms > 3_000_000


def test_invalidate(larder, client, name, key):
    for each in (name, name + "2"):
        larder("-n", "shop", "set", each, "value")
    assert larder("-n", "shop", "invalidate", name, name + "none").stdout == b"dropped 1 of 2\n"
    assert client.get(key, namespace="shop").status == cache_pb2.STATUS_MISS
    assert larder("-n", "shop", "invalidate", "--all").stdout == b"dropped the whole namespace\n"
    assert client.get(key + b"2", namespace="shop").status == cache_pb2.STATUS_MISS


def test_conditions(larder, name):
    version = one_json(larder("--json", "set", name, "1", "--if-absent"))["version"]
    done = larder("--json", "set", name, "2", "--if-absent", code=3)
    error = one_json(done)["error"]
    assert (error["code"], error["current_version"]) == ("ABORTED", version)
    assert f"ABORTED: the condition does not hold: the entry's version is {version}" in done.stderr.decode()
    larder("set", name, "3", "--if-present")
    larder("set", name, "4", "--if-version", version, code=3)
    assert larder("get", name).stdout == b"3"
    error = one_json(larder("--json", "set", name + "none", "1", "--if-present", code=3))["error"]
    assert error["current_version"] is None


USAGE = {
    "no command": [],
    "unknown command": ["fetch", "key"],
    "unknown flag": ["get", "key", "--quickly"],
    "no key": ["get"],
    "no value": ["set", "key"],
    "value twice": ["set", "key", "value", "--file", "/dev/null"],
    "no such file": ["set", "key", "--file", "/nowhere/at/all"],
    "no duration": ["set", "key", "value", "--ttl", "5"],
    "both expiries": ["set", "key", "value", "--ttl", "5s", "--class", "user"],
    "two conditions": ["set", "key", "value", "--if-absent", "--if-present"],
    "nothing to invalidate": ["invalidate"],
    "warm of no file": ["warm", "/nowhere/at/all"],
    "replay of no file": ["replay", "/nowhere/at/all.u32"],
    "cannot write": ["get", "there", "-o", "/nowhere/at/all"],
}


@pytest.mark.parametrize("wrong", USAGE)
def test_wrong_usage_is_exit_code_2(larder, wrong):
    larder("set", "there", "value")
    assert larder(*USAGE[wrong], code=2).stderr


def test_help_and_version_are_no_errors(larder):
    assert b"replay" in larder("--help").stdout
    assert larder("--version").stdout.startswith(b"larder ")


def test_what_the_server_refuses_is_exit_code_3(larder):
    done = larder("--json", "get", "k" * 513, code=3)
    assert one_json(done)["error"] == {"code": "INVALID_ARGUMENT", "message": "key: 513 bytes, the limit is 512"}
    assert done.stderr == b"larder: INVALID_ARGUMENT: key: 513 bytes, the limit is 512\n"
    assert b"not configured" in larder("-n", "nowhere", "set", "key", "value", code=3).stderr


COMMANDS = [["get", "key"], ["set", "key", "value"], ["touch", "key"], ["invalidate", "key"], ["stats"], ["ping"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_server_that_is_not_there_is_exit_code_3(command):
    port = free_port()
    done = run_larder("--json", *command, port=port)
    assert done.returncode == 3, done
    assert one_json(done)["error"]["code"] == "UNAVAILABLE"
    assert done.stderr.startswith(b"larder: UNAVAILABLE: ")


def test_warm_and_replay_without_a_server_are_exit_code_3(tmp_path):
    lines, trace = tmp_path / "lines", tmp_path / "trace.u32"
    lines.write_text('{"key": "a", "value": "1"}\n', "utf-8")
    write_trace(trace, [1, 2, 3])
    port = free_port()
    done = run_larder("warm", str(lines), port=port)
    assert done.returncode == 3 and b"UNAVAILABLE" in done.stderr, done
    done = run_larder("--json", "replay", str(trace), port=port)
    assert done.returncode == 3 and one_json(done)["get_errors"] == {"UNAVAILABLE": 3}, done


def test_the_environment_names_server_and_namespace(server, client, name, key):
    environment = {"LARDER_ADDRESS": f"127.0.0.1:{server.port}", "LARDER_NAMESPACE": "shop"}
    assert run_larder("set", name, "value", environment=environment).returncode == 0
    assert client.get(key, namespace="shop").value == b"value"
    assert client.get(key).status == cache_pb2.STATUS_MISS


def test_stats_for_people(larder, store):
    text = larder("stats").stdout.decode()
    assert "larderd " in text and "(all)" in text and "shop" in text
    assert f"store:          {store}" in text
    assert "shop" in larder("stats", "-n", "shop").stdout.decode()


def test_ping_for_people(larder, server):
    assert larder("ping").stdout.decode().startswith(f"SERVING from 127.0.0.1:{server.port} in ")
    assert "5 round trips" in larder("ping", "--count", "5").stdout.decode()


def warm_lines(name):
    binary = {"key_base64": base64.b64encode(name.encode() + b"\xff").decode()}
    binary["value_base64"] = base64.b64encode(BINARY).decode()
    lines = [json.dumps({"key": f"{name}{i}", "value": f"value {i}", "ttl": "1m"}) for i in range(100)]
    lines[50] = json.dumps(binary)
    return lines


def test_warm(larder, client, name, key, tmp_path):
    client.set(key + b"7", b"was there")
    path = tmp_path / "lines"
    path.write_text("\n".join(warm_lines(name)) + "\n", "utf-8")
    summary = one_json(larder("--json", "warm", str(path)))
    assert (summary["written"], summary["skipped"], summary["failed"]) == (99, 1, 0)
    assert client.get(key + b"99").value == b"value 99"
    assert client.get(key + b"7").value == b"was there"
    assert client.get(key + b"\xff", read_from=cache_pb2.READ_FROM_STORE).value == BINARY
    assert b"written 0, skipped 100" in larder("warm", "-", stdin=path.read_bytes()).stdout


def test_warm_goes_on_after_a_bad_line(larder, client, name, key):
    lines = warm_lines(name)
    lines[10] = "this is no JSON"
    lines[20] = json.dumps({"key": "k" * 513, "value": ""})
    *failures, summary = json_lines(larder("--json", "warm", "-", stdin="\n".join(lines).encode(), code=3))
    assert (summary["written"], summary["skipped"], summary["failed"]) == (98, 0, 2)
    assert {failure["line"]: failure["code"] for failure in failures} == {
        11: "INVALID_ARGUMENT",
        21: "INVALID_ARGUMENT",
    }
    assert client.get(key + b"99").value == b"value 99"


def write_trace(path, ids):
    path.write_bytes(struct.pack(f"<{len(ids)}I", *ids))


@pytest.fixture(name="trace")
def fixture_trace(tmp_path):
    """A trace in which some objects are asked for far more often than others, and its ids."""
    chance = random.Random(7)
    ids = [min(int(chance.paretovariate(0.7)), 2**32 - 1) for _ in range(4_000)]
    write_trace(tmp_path / "trace.u32", ids)
    return tmp_path / "trace.u32", ids


def check_clean(report, requests):
    assert (report["get_errors"], report["set_errors"], report["wrong"], report["gave_up"]) == ({}, {}, 0, False)
    assert report["requests"] == requests
    assert report["near_hits"] + report["store_hits"] + report["misses"] == requests
    assert report["sets"] == report["misses"]
    assert report["get_latency_us"]["p50"] > 0


def test_replay_has_the_hit_ratio_of_an_unbounded_cache(larder, trace):
    path, ids = trace
    arguments = ["--json", "-n", "unary", "replay", str(path), "--concurrency", "1", "--value-size", "uniform:10-5000"]
    report = one_json(larder(*arguments))
    check_clean(report, len(ids))
    assert report["misses"] == len(set(ids))
    assert report["hit_ratio"] == pytest.approx((len(ids) - len(set(ids))) / len(ids), abs=1e-12)
    again = one_json(larder(*arguments))
    check_clean(again, len(ids))
    assert again["hit_ratio"] == 1


@pytest.mark.parametrize("batch", [1, 32])
def test_replay_with_many_calls_in_flight(larder, trace, batch):
    path, ids = trace
    name_space = "replayed" if batch == 1 else "batched"
    arguments = ["--concurrency", "16", "--batch", str(batch), "--connections", "2"]
    report = one_json(larder("--json", "-n", name_space, "replay", str(path), *arguments))
    check_clean(report, len(ids))
    # An object asked for again before it has been set is a miss again.
    assert report["misses"] >= len(set(ids))
    report = one_json(larder("--json", "-n", name_space, "replay", str(path), *arguments))
    check_clean(report, len(ids))
    assert report["hit_ratio"] == 1


def test_replay_of_a_compressed_trace_in_words(larder, trace):
    path, ids = trace
    subprocess.run(["zstd", "-q", str(path)], check=True)
    arguments = ["replay", str(path) + ".zst", "--concurrency", "1", "--limit", "1000"]
    text = larder("-n", "compressed", *arguments).stdout.decode()
    ratio = (1_000 - len(set(ids[:1_000]))) / 1_000
    assert "requests   1,000 in " in text
    assert f"hit ratio  {ratio:.4f}: " in text
    assert "errors     0\n" in text
