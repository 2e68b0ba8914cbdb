"""The live check: a real Prometheus scrapes a real larderd on a real Redis, under load and through an outage; then
every expression of the dashboards and of the alerts must have data."""

import concurrent.futures
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import dashboards
import expressions
import processes
import rules
import yaml
from processes import Failure

JOB, FOREIGN_JOB = "larder", "prometheus"
SCRAPE_SECONDS = 1
# The rules as they are, but for these: a minute's check cannot wait for a quarter of an hour.
SHORTENED = {"5m": "10s", "15m": "15s", "1h": "30s"}
GRAFANAS_OWN = {"__rate_interval": "10s", "__range": "30s", "__interval": "1s"}
# What takes longest to have data under load. The server looks at its store every 10 s: evictions become a rate when
# Redis has been full for so long. Nobody is judged by the breaker before there are 15 (shortened) minutes of it.
LAST_TO_COME = ["larder:store_turnover_seconds", "larder:breaker_open:ratio15m", "larder:near_churn:ratio5m"]
LAST_TO_COME_SECONDS = 60.0
# What an outage under load must set off, and what its end must end.
FIRE_IN_OUTAGE = ["LarderStoreDown", "LarderBreakerOpen", "LarderCallErrors"]
QUIET_AFTERWARDS = "LarderStoreDown"

REDIS_MEMORY = "24mb"
CONFIG = {
    "near": {"capacity_bytes": "2MiB"},
    "namespaces": {"default": {"near_max_age": "1s"}, "shop": {"near_max_age": "1s"}},
}


class Bench:
    """Redis, larderd and Prometheus, and the command line tool to put load on them."""

    def __init__(self, larderd: pathlib.Path, larder: pathlib.Path, rule_file: pathlib.Path, folder: pathlib.Path):
        self.folder = folder
        self._larderd_binary, self._larder_binary = larderd, larder
        self.redis_port, self.grpc_port, self.http_port, self.prometheus_port = (
            processes.free_port() for _ in range(4)
        )
        self.prometheus = processes.Prometheus(self.prometheus_port)
        self._running: list[processes.Process] = []
        try:
            self.redis = self.start_redis()
            self._start_larderd()
            self._start_prometheus(rule_file)
        except BaseException:
            self.stop()
            raise

    def _start(self, name: str, command: list[str]) -> processes.Process:
        process = processes.Process(name, command, self.folder)
        self._running.append(process)
        return process

    def start_redis(self) -> processes.Process:
        options = {"port": str(self.redis_port), "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        options |= {"maxmemory": REDIS_MEMORY, "maxmemory-policy": "volatile-lru", "dir": str(self.folder)}
        command = [word for name, value in options.items() for word in (f"--{name}", value)]
        redis = self._start("redis", ["redis-server", *command])
        redis.until(lambda: self.redis_command("PING") == "PONG", "an answer")
        return redis

    def redis_command(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.redis_port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def _start_larderd(self) -> None:
        config = {
            **CONFIG,
            "grpc": {"listen": f"127.0.0.1:{self.grpc_port}"},
            "operations": {"listen": f"127.0.0.1:{self.http_port}"},
            "store": {"redis": {"url": f"redis://127.0.0.1:{self.redis_port}"}},
        }
        file = self.folder / "larder.json"
        file.write_text(json.dumps(config), "utf-8")
        larderd = self._start("larderd", [str(self._larderd_binary), "--config", str(file)])
        ready = f"http://127.0.0.1:{self.http_port}/readyz"
        larderd.until(lambda: b"store: ready" in processes.http(ready), "its store")

    def _start_prometheus(self, rule_file: pathlib.Path) -> None:
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": [str(rule_file)],
            "scrape_configs": [
                {
                    "job_name": JOB,
                    "honor_labels": True,
                    "static_configs": [{"targets": [f"127.0.0.1:{self.http_port}"]}],
                },
                # Somebody else's target, with names that every process has.
                {
                    "job_name": FOREIGN_JOB,
                    "static_configs": [{"targets": [f"127.0.0.1:{self.prometheus_port}"]}],
                },
            ],
        }
        file = self.folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config), "utf-8")
        listen = f"--web.listen-address=127.0.0.1:{self.prometheus_port}"
        data = f"--storage.tsdb.path={self.folder / 'data'}"
        prometheus = self._start("prometheus", ["prometheus", f"--config.file={file}", listen, data])
        prometheus.until(lambda: self.prometheus.values("larder_build_info"), "a first scrape")
        foreign = f'process_open_fds{{job="{FOREIGN_JOB}"}}'
        prometheus.until(lambda: self.prometheus.values(foreign), "a first scrape of itself")

    def larder(self, *arguments: str) -> None:
        """Runs the tool to its end; how it ends is the load's business, not the check's."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LARDER")}
        command = [str(self._larder_binary), "--address", f"127.0.0.1:{self.grpc_port}", *arguments]
        subprocess.run(command, capture_output=True, check=False, timeout=processes.PATIENCE, env=clean)

    def metrics(self) -> str:
        return processes.http(f"http://127.0.0.1:{self.http_port}/metrics").decode()

    def stop(self) -> None:
        for process in reversed(self._running):
            process.stop()


class Load:
    """Puts load on the server until it is stopped: hits, misses, writes, invalidations, and what is refused."""

    def __init__(self, bench: Bench):
        self._bench = bench
        self._over = threading.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(2)
        trace = bench.folder / "trace.u32"
        # The low numbers often, the high ones once: hits, and more than Redis has room for.
        ids = [i % 50 if i % 3 else 1000 + i for i in range(30_000)]
        trace.write_bytes(struct.pack(f"<{len(ids)}I", *ids))
        replay = ["replay", "--limit", "3000", "--max-errors", "0", "--concurrency", "8"]
        replay += ["--value-size", "uniform:2000-40000"]
        self._rounds = 0
        self._futures = [
            self._threads.submit(self._repeat, lambda: bench.larder(*replay, *self._prefix(), str(trace))),
            self._threads.submit(self._repeat, self._single_calls),
        ]

    def _prefix(self) -> list[str]:
        self._rounds += 1
        return ["--key-prefix", f"{self._rounds}:"]

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._over.is_set():
            work()

    def _single_calls(self) -> None:
        larder = self._bench.larder
        larder("--namespace", "shop", "set", "menu", "soup " * 5_000, "--ttl", "1m")
        larder("--namespace", "shop", "get", "menu")
        larder("--namespace", "shop", "get", "nothing")
        larder("--namespace", "shop", "touch", "menu", "--ttl", "2m")
        larder("--namespace", "shop", "invalidate", "menu")
        larder("--namespace", "shop", "invalidate", "--all")
        larder("get", "k" * 600)
        larder("--namespace", "nowhere", "get", "menu")
        # Something that is no entry, under the key of one.
        self._bench.redis_command("SET", "larder:shop:e:foreign", "not an entry", "EX", "60")
        larder("--namespace", "shop", "get", "foreign")

    def stop(self) -> None:
        self._over.set()
        self._threads.shutdown(wait=True)
        for future in self._futures:
            future.result()


def shortened(rule_file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The rules with windows and patience of seconds. Only ranges change: names of recorded series stay."""
    config = yaml.safe_load(rule_file.read_text("utf-8"))
    for group in config["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda match: f"[{SHORTENED[match[1]]}]", rule["expr"])
            rule["expr"] = re.sub(r"\boffset (\w+)", lambda match: f"offset {SHORTENED[match[1]]}", rule["expr"])
            if "for" in rule:
                rule["for"] = "1s"
    short = folder / "rules.yaml"
    short.write_text(yaml.safe_dump(config), "utf-8")
    return short


def _await(condition: Callable[[], Any], what: str, limit: float = processes.PATIENCE) -> list[str]:
    """Waits for it; a problem if it does not come about."""
    try:
        processes.eventually(condition, what, limit)
    except Failure as failure:
        return [str(failure)]
    return []


def _drive(bench: Bench) -> list[str]:
    """Load, an outage, and what is left of it afterwards."""
    ask = bench.prometheus.values
    problems = []
    load = Load(bench)
    try:
        for name in LAST_TO_COME:
            problems += _await(lambda name=name: ask(name), f"data of {name} under load", LAST_TO_COME_SECONDS)
        bench.redis.kill()
        for name in FIRE_IN_OUTAGE:
            fired = f'max_over_time(ALERTS{{alertname="{name}", alertstate="firing"}}[1m])'
            problems += _await(lambda fired=fired: ask(fired), f"alert {name}, in an outage of Redis")
        bench.redis = bench.start_redis()
        problems += _await(lambda: ask("cache_store_keys > 0"), "figures of the new Redis")
    finally:
        load.stop()
    still = f'ALERTS{{alertname="{QUIET_AFTERWARDS}"}}'
    return problems + _await(lambda: not ask(still), f"the end of alert {QUIET_AFTERWARDS}")


def _metrics_problems(bench: Bench) -> list[str]:
    command = ["promtool", "check", "metrics"]
    lint = subprocess.run(command, input=bench.metrics(), capture_output=True, text=True, check=False)
    return [f"/metrics: {line}" for line in (lint.stdout + lint.stderr).splitlines()] if lint.returncode != 0 else []


def _dashboard_problems(bench: Bench, name: str, dashboard: dict[str, Any], start: float, end: float) -> list[str]:
    # Each variable as Grafana fills it in where "All" is chosen.
    values = dict(GRAFANAS_OWN)
    problems = []
    for variable in dashboards.defined_variables(dashboard).values():
        if variable["type"] != "query":
            continue
        query = variable["query"]["query"]
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
        if match is None:
            problems.append(f"{name}: variable {variable['name']}: {query!r} is not label_values(series, label)")
            continue
        series = expressions.substitute(match[1], values)
        found = bench.prometheus.ask(f"label/{match[2]}/values", **{"match[]": series, "start": start, "end": end})
        if not found:
            problems.append(f"{name}: variable {variable['name']}: {query!r} has no values")
        values[variable["name"]] = variable.get("allValue") or f"({'|'.join(found)})"
    if problems:
        return problems
    for where, expression in dashboards.queries(dashboard):
        expression = re.sub(r"\[(\d+[mh])\]", lambda match: f"[{SHORTENED[match[1]]}]", expression)
        expression = expressions.substitute(expression, values)
        if not bench.prometheus.has_data(expression, start, end):
            problems.append(f"{name}: {where} returned nothing: {expression}")
        for selector in sorted(expressions.selectors(expression)):
            found = bench.prometheus.ask("series", **{"match[]": selector, "start": start, "end": end})
            if foreign := {each.get("job", JOB) for each in found} - {JOB}:
                problems.append(f"{name}: {where} looks at targets of {foreign}: {selector}")
    return problems


def _rule_problems(bench: Bench, all_rules: list[rules.Rule], start: float, end: float) -> list[str]:
    problems = []
    for rule in all_rules:
        name = f"alert {rule['alert']}" if "alert" in rule else f"record {rule['record']}"
        asked = expressions.operands(rule["expr"]) if "alert" in rule else [rule["record"]]
        for expression in asked:
            if not bench.prometheus.has_data(expression, start, end):
                problems.append(f"rules.yaml: {name} has nothing to look at: {expression} returned nothing")
    ours = '{__name__=~"larder:.+|ALERTS"}'
    found = bench.prometheus.ask("series", **{"match[]": ours, "start": start, "end": end})
    if foreign := {each.get("job", JOB) for each in found} - {JOB}:
        problems.append(f"rules.yaml: something is recorded, or an alert fires, about targets of {foreign}")
    for group in bench.prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] == "err":
                problems.append(f"rules.yaml: {rule['name']} could not be evaluated: {rule['lastError']}")
    return problems


def check(
    larderd: pathlib.Path, larder: pathlib.Path, rule_file: pathlib.Path, boards: dict[str, dict[str, Any]]
) -> list[str]:
    """All expressions that returned nothing, and the alerts that did not do what they should. Takes about a minute."""
    with tempfile.TemporaryDirectory(prefix="larder-monitoring-") as name:
        folder = pathlib.Path(name)
        bench = Bench(larderd, larder, shortened(rule_file, folder), folder)
        try:
            start = time.time()
            problems = _drive(bench)
            end = time.time()
            problems += _metrics_problems(bench)
            problems += _rule_problems(bench, rules.load(rule_file), start, end)
            for board, dashboard in boards.items():
                problems += _dashboard_problems(bench, board, dashboard, start, end)
            return problems
        finally:
            bench.stop()
