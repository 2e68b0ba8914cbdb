"""The service benchmark works: every scenario for a fraction of a second. How fast anything is, is not looked at."""

import json
import os
import subprocess

import pytest

BENCH = os.environ["SERVICE_BENCH"]
RATIOS = {
    "batch64_vs_redis_p64",
    "h2load_vs_echo",
    "near_p99_vs_echo",
    "near_unary_vs_callback_echo",
    "near_unary_vs_echo",
    "overload_goodput",
    "pipeline_vs_redis_p16",
    "store_fetch_vs_redis_p16",
    "store_unary_vs_near",
    "store_vs_blocking",
}
ABSOLUTE = {"memcached", "mixes", "overload_64KB", "redis_benchmark"}


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=110, check=False)


def test_list_names_everything():
    listed = bench("--list")
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()} == RATIOS | ABSOLUTE


def test_every_scenario_reports_its_figures(tmp_path):
    path = tmp_path / "figures.json"
    ran = bench("--short", "--json", str(path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(path.read_text())
    assert set(report) == {"ratios", "absolute", "machine"}
    skipped = {line.split(":")[0] for line in report["machine"].get("skipped", [])}
    assert skipped <= {"h2load_vs_echo", "memcached"}, "only what needs a program of its own may be left out"
    assert set(report["ratios"]) == RATIOS - skipped
    for name, value in report["ratios"].items():
        assert 0 < value < 1_000, name
    absolute = report["absolute"]
    for name in (
        "near_unary.larderd.per_s",
        "near_unary.larderd.larderd_cpu_us_per_op",
        "near_p99.echo.p99_us",
        "store_unary.store.redis_cpu_us_per_op",
        "redis_benchmark.p1.per_s",
        "mixes.65536B_zipf1.2.86_14.per_s",
        "overload.twice.refused_p99_ms",
        "overload_64KB.share_of_peak",
    ):
        assert name in absolute
        assert absolute[name] >= 0, name
    assert report["machine"]["cpus"] >= 1


def test_only_runs_what_is_named(tmp_path):
    path = tmp_path / "figures.json"
    ran = bench("--short", "--only", "store_vs_blocking", "--json", str(path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert set(json.loads(path.read_text())["ratios"]) == {"store_unary_vs_near", "store_vs_blocking"}


def test_a_wrong_value_fails_the_run(tmp_path):
    path = tmp_path / "figures.json"
    ran = bench("--short", "--only", "near_unary_vs_echo", "--wrong-every", "100", "--json", str(path))
    assert ran.returncode == 1
    assert "held a wrong value" in ran.stderr
    report = json.loads(path.read_text())
    assert report["ratios"] == {}
    assert "held a wrong value" in report["machine"]["failed"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing_such"], 'there is no "nothing_such"'),
        (["--config", "/nowhere.yaml"], "nothing to be read in /nowhere.yaml"),
    ],
)
def test_a_bad_argument_is_refused(arguments, message):
    ran = bench(*arguments)
    assert ran.returncode == 2
    assert message in ran.stderr
