#!/usr/bin/python3
"""Compares what compose.yaml says with the files beside it and with the Dockerfile. Nothing is started.

A line for each problem; exit code 1 if there is one. `docker compose config` is asked too where it is installed.
"""

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import yaml

HERE = pathlib.Path(__file__).resolve().parent
HARDENING = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}

Service = dict[str, Any]


def load(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text())


def mounts(service: Service) -> dict[str, pathlib.Path]:
    """What is mounted from here, by where it is seen inside."""
    pairs = [entry.split(":") for entry in service.get("volumes", [])]
    return {inside: (HERE / outside).resolve() for outside, inside, *_ in pairs}


def share_a_network(services: dict[str, Service], one: str, other: str) -> bool:
    return bool(set(services[one]["networks"]) & set(services[other]["networks"]))


def check_every(services: dict[str, Service]) -> Iterator[str]:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        if "build" not in service and not re.search(r"\d+\.\d+\.\d+", tag):
            yield f"{name}: image {service['image']} is not pinned to a release"
        for path in mounts(service).values():
            if not path.exists():
                yield f"{name}: mounts {path}, which is not there"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: publishes {port} to others than this machine"


def check_larder(services: dict[str, Service], replicas: list[str]) -> Iterator[str]:
    dockerfile = (HERE / services[replicas[0]]["build"]["context"] / "Dockerfile").resolve().read_text()
    exposed = set(re.findall(r"^EXPOSE (.*)$", dockerfile, re.M)[0].split())
    probe = json.loads(re.findall(r"^HEALTHCHECK.*\\\n\s*CMD (.*)$", dockerfile, re.M)[0])
    if len(replicas) < 2:
        yield "there are fewer than two replicas"
    for name in replicas:
        service = services[name]
        yield from (f"{name}: {key} is not {value}" for key, value in HARDENING.items() if service.get(key) != value)
        if "mem_limit" not in service:
            yield f"{name}: has no memory limit"
        if service["healthcheck"]["test"] != ["CMD", *probe]:
            yield f"{name}: its health check is not the image's, {probe}"
        for port in service.get("ports", []):
            if port.split(":")[-1] not in exposed:
                yield f"{name}: publishes {port}, and the image exposes {sorted(exposed)}"
        redis = re.fullmatch(r"redis://([\w-]+):6379", service["environment"]["REDIS_URL"])
        if redis is None or redis[1] not in services or not share_a_network(services, name, redis[1]):
            yield f"{name}: cannot reach {service['environment']['REDIS_URL']}"


def check_redis(redis: Service) -> Iterator[str]:
    command = " ".join(redis["command"])
    if "--maxmemory-policy volatile-lru" not in command or not re.search(r"--maxmemory \d+mb", command):
        yield "redis: has no bound of its memory with volatile-lru"
    if redis.get("ports"):
        yield "redis: is published"


def check_monitoring(services: dict[str, Service], replicas: list[str]) -> Iterator[str]:
    prometheus = load(HERE / "prometheus.yaml")
    groups = [group for job in prometheus["scrape_configs"] for group in job["static_configs"]]
    targets = [target for group in groups for target in group["targets"]]
    if sorted(targets) != [f"{name}:9090" for name in sorted(replicas)]:
        yield f"prometheus: scrapes {targets}"
    hidden = [name for name in replicas if not share_a_network(services, "prometheus", name)]
    yield from (f"prometheus: cannot reach {name}" for name in hidden)
    for file in prometheus["rule_files"]:
        if f"/etc/prometheus/{file}" not in mounts(services["prometheus"]):
            yield f"prometheus: {file} is not mounted"

    provisioning = HERE / "grafana/provisioning"
    urls = [source["url"] for file in provisioning.glob("datasources/*") for source in load(file)["datasources"]]
    if urls != ["http://prometheus:9090"] or not share_a_network(services, "grafana", "prometheus"):
        yield f"grafana: cannot reach its data source {urls}"
    for file in provisioning.glob("dashboards/*"):
        for provider in load(file)["providers"]:
            folder = mounts(services["grafana"]).get(provider["options"]["path"])
            if folder is None or not list(folder.glob("*.json")):
                yield f"grafana: there is no dashboard in {provider['options']['path']}"


def check_compose() -> Iterator[str]:
    if subprocess.run(["sh", "-c", "docker compose version"], capture_output=True, check=False).returncode == 0:
        command = ["docker", "compose", "--file", str(HERE / "compose.yaml"), "config", "--quiet"]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        if refused.returncode != 0:
            yield refused.stderr.strip()


def main() -> int:
    services: dict[str, Service] = load(HERE / "compose.yaml")["services"]
    replicas = [name for name, service in services.items() if "build" in service]
    problems = [
        *check_every(services),
        *check_larder(services, replicas),
        *check_redis(services["redis"]),
        *check_monitoring(services, replicas),
        *check_compose(),
    ]
    for problem in problems:
        print(f"compose: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
