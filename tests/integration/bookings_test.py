"""The bookings example against a real server: what it promises, and that its checker finds what it is there to find."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

import harness

BOOKINGS = os.environ["LARDER_BOOKINGS"]
ORIGIN = pathlib.Path(BOOKINGS).parents[1] / "bookings_origin" / "bookings_origin"
NAMESPACE = "bookings"
# Much bigger than what a reader is expected to wait for, in seconds.
PATIENCE = 200
SHORT = ["--rows", "50000", "--operations", "4000"]


def run(*arguments, server=None, code=0):
    """Standard output and standard error; the exit code is checked."""
    command = [*harness.DIE_WITH_PARENT, BOOKINGS, *arguments]
    if server is not None:
        command += ["--server", f"127.0.0.1:{server.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert not harness.SANITIZER_REPORT.search(done.stderr), done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(name="server", scope="module")
def fixture_server(start_shared):
    return start_shared.larderd()


class Origin:
    """A database, bookings_origin on it, and a larderd whose namespace asks that, and is warmed at start."""

    def __init__(self, start, folder):
        self.database = folder / "bookings.sqlite"
        run(*SHORT, "--generate", str(self.database))
        self.process = harness.Process([str(ORIGIN), "--listen", "127.0.0.1:0", "--database", str(self.database)])
        port = self.process.wait_for_line(
            lambda line: int(line.rsplit(" ", 1)[1]) if "serves on port" in (line or "") else None, "the origin's port"
        )
        namespace = {"origin": {"target": f"127.0.0.1:{port}"}, "warm_jobs": {"services": {"prefix": "service:"}}}
        self.server = start.larderd({"namespaces": {NAMESPACE: namespace}})

    def run(self, *arguments, code=0):
        options = ["--database", str(self.database), "--origin-namespace", NAMESPACE]
        return run(*SHORT, *options, *arguments, server=self.server, code=code)

    def loaded(self):
        return harness.total(self.server.metrics(), "cache_origin_keys_total", namespace=NAMESPACE, result="value")


@pytest.fixture(name="origin")
def fixture_origin(start, tmp_path):
    origin = Origin(start, tmp_path)
    yield origin
    origin.process.send(signal.SIGTERM)
    assert origin.process.wait() == 0, origin.process.output()
    assert not harness.SANITIZER_REPORT.search(origin.process.output())


def figures(path):
    return json.loads(path.read_text("utf-8"))


def test_saves_queries_and_answers_nothing_stale(server, tmp_path):
    output, _ = run(*SHORT, "--require-saved", "60", "--json", str(tmp_path / "figures.json"), server=server)
    found = figures(tmp_path / "figures.json")
    assert found["correct"] is True
    assert found["stale_reads"] == 0
    assert found["wrong_next_reads"] == 0
    # The checks had something to look at.
    assert found["reads_checked_after_a_write"] > 200
    assert found["next_reads_compared"] > 1000
    assert found["queries_saved"] > 0.6
    assert found["near_hits"] == 0
    for name in ("settings", "catalogue", "dashboard", "report"):
        endpoint = found["endpoints"][name]
        assert endpoint["with_cache"]["queries"] < endpoint["without_cache"]["queries"] / 2, name
        assert endpoint["hit_ratio"] > 0.5, name
        assert endpoint["with_cache"]["calls"] > 0, name
    assert re.search(r"cache: \d+ reads, \d+ fills and 0 invalidations failed; 0 reads", output)


def test_every_query_is_served_by_an_index():
    output, _ = run(*SHORT, "--no-cache")
    assert re.match(r"4 threads on [1-9]\d* cores\n\d+ rows of ", output)
    plans = output[output.index("Query plans:") : output.index("endpoint")]
    assert len(re.findall(r"^  \S", plans, re.MULTILINE)) > 20
    tables = "appointments|transactions|customers|services|staff|users|settings|locations"
    # Aliases of the tables too.
    assert not re.findall(rf"SCAN (?:{tables}|[stc])\b.*", plans)
    assert "COVERING INDEX appointments_of_location" in plans
    assert "COVERING INDEX transactions_by_month" in plans


READ_THROUGH = ("settings", "service")


def test_reads_through_an_origin_that_was_warmed(origin, tmp_path):
    services = 24 * 2
    harness.eventually(lambda: origin.loaded() == services, "the warm-up's end")
    origin.run("--require-saved", "60", "--json", str(tmp_path / "figures.json"))
    found = figures(tmp_path / "figures.json")
    assert found["correct"] is True
    assert found["reads_checked_after_a_write"] > 200
    # After the warm-up the origin was asked for the settings, and for what a new price had made stale.
    assert 0 < found["origin_loads"] < 100
    assert origin.loaded() > services
    for name in READ_THROUGH:
        endpoint = found["endpoints"][name]
        assert endpoint["hit_ratio"] > 0.8, name
        assert 0 < endpoint["with_cache"]["queries"] < endpoint["without_cache"]["queries"] / 2, name


def test_finds_an_invalidation_that_is_left_out_of_the_origins_namespace(origin, tmp_path):
    output, errors = origin.run("--break-invalidation", "service", "--json", str(tmp_path / "figures.json"), code=1)
    assert errors == "bookings: the answers were not all right: see above\n"
    found = figures(tmp_path / "figures.json")
    assert found["stale_reads"] > 0
    assert found["wrong_next_reads"] > 0
    assert set(re.findall(r"(?:STALE|WRONG) (\w+)", output)) == {"service"}


def test_the_script_starts_all_that_the_example_needs():
    script = pathlib.Path(__file__).parents[2] / "client/examples/bookings/run"
    done = subprocess.run(
        [*harness.DIE_WITH_PARENT, script, pathlib.Path(BOOKINGS).parents[3], *SHORT, "--require-saved", "60"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"0 invalidations failed; [1-9]\d* reads waited for the origin", done.stdout)


@pytest.mark.parametrize("name", ["catalogue", "service", "availability", "dashboard", "report", "transactions"])
def test_finds_an_invalidation_that_is_left_out(server, tmp_path, name):
    json_file = tmp_path / "figures.json"
    output, errors = run(
        *SHORT, "--break-invalidation", name, "--json", str(json_file), server=server, code=1
    )
    assert errors == "bookings: the answers were not all right: see above\n"
    found = figures(json_file)
    assert found["correct"] is False
    assert found["stale_reads"] > 0
    assert found["wrong_next_reads"] > 0
    # And it is that one alone that is found.
    assert set(re.findall(r"(?:STALE|WRONG) (\w+)", output)) == {name}


def test_is_right_with_a_near_cache_of_its_own(server, tmp_path):
    run(*SHORT, "--near-mib", "64", "--json", str(tmp_path / "figures.json"), server=server)
    found = figures(tmp_path / "figures.json")
    assert found["near_hits"] > 500
    assert found["stale_reads"] == 0
    assert found["wrong_next_reads"] == 0


def test_the_same_seed_makes_the_same_database(tmp_path):
    found = []
    for number in range(2):
        json_file = tmp_path / f"{number}.json"
        run("--rows", "5000", "--operations", "10", "--threads", "1", "--seed", "7", "--no-cache", "--json", str(json_file))
        endpoints = figures(json_file)["endpoints"]
        found.append({name: endpoint["without_cache"]["queries"] for name, endpoint in endpoints.items()})
        found[-1]["rows"] = figures(json_file)["rows"]
    assert found[0] == found[1]


def test_the_cache_wins_against_a_good_database(server):
    wanted = "1" if harness.SLOW else "10"
    run("--rows", "600000", "--operations", "5000", "--require-saved", "60", "--require-speed-up", wanted, server=server)


def test_wrong_arguments():
    without_a_database = ["--origin-namespace", "x"]
    for arguments in (["--rows", "x"], ["--threads", "0"], ["--break-invalidation", "nothing"], ["--unknown"]):
        run(*arguments, code=2)
    run(*without_a_database, code=2)
    run(*without_a_database, "--database", "/nowhere", code=2)
