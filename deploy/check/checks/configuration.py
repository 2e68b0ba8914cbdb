"""Configuration: that what is mounted and named exists, and that the programs take it."""

import functools
import os
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator

import yaml

from checks.manifests import ROOT, Manifest, Overlay, containers, environment, name_of, pod_spec
from checks.units import byte_count

NEAR_AT_MOST, EMBEDDED_AT_MOST = 1 << 30, 4 << 30
# What caches may take of the memory limit: the rest is for messages in flight, connections and the allocator.
CACHE_SHARE = 0.6
REFERENCE = re.compile(r"\$\(([A-Z_]+)\)")


def check(overlay: Overlay, larderd: pathlib.Path) -> Iterator[str]:
    used: dict[str, str] = {}
    for workload in overlay.workloads():
        sources = [volume["configMap"] for volume in pod_spec(workload).get("volumes", []) if "configMap" in volume]
        for source in sources:
            if (other := used.setdefault(source["name"], name_of(workload))) != name_of(workload):
                yield f"{other} and {name_of(workload)} share a ConfigMap, a change of which replaces both at once"
        yield from volumes(overlay, workload)
        for container in containers(workload):
            where = f"{name_of(workload)}: container {container['name']}"
            yield from (f"{where}: {problem}" for problem in mounts(overlay, workload, container))
            yield from (f"{where}: {problem}" for problem in variables(overlay, container))
            if container["name"] == "larderd":
                yield from (f"{where}: {problem}" for problem in larder_memory(overlay, container))
                yield from (f"{where}: {problem}" for problem in larderd_takes_it(overlay, container, larderd))
    for config in overlay.all("ConfigMap"):
        if config["metadata"]["name"] not in used:
            yield f"{name_of(config)}: no pod mounts it"
        yield from (f"{name_of(config)}: {problem}" for problem in haproxy_takes_it(config))
    yield from redis_memory(overlay)


def volumes(overlay: Overlay, workload: Manifest) -> Iterator[str]:
    for volume in pod_spec(workload).get("volumes", []):
        for field, kind, key in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if field not in volume:
                continue
            source = overlay.find(kind, volume[field][key])
            if source is None:
                yield f"{name_of(workload)}: volume {volume['name']}: there is no {kind} {volume[field][key]}"
                continue
            for item in volume[field].get("items", []):
                if item["key"] not in keys_of(source):
                    yield f"{name_of(workload)}: volume {volume['name']}: {name_of(source)} has no key {item['key']}"


def keys_of(source: Manifest) -> set[str]:
    return {key for field in ("data", "binaryData", "stringData") for key in source.get(field, {})}


def mounts(overlay: Overlay, workload: Manifest, container: Manifest) -> Iterator[str]:
    by_name = {volume["name"]: volume for volume in pod_spec(workload).get("volumes", [])}
    words = [*container.get("command", []), *container.get("args", [])]
    words += [variable["value"] for variable in container.get("env", []) if "value" in variable]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        words += container.get(probe, {}).get("exec", {}).get("command", [])
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in by_name:
            yield f"mounts {mount['name']}, which is no volume of its pod"
            continue
        if "subPath" in mount:
            yield f"mounts {mount['name']} by subPath, so that a change of it never arrives"
        yield from absent_files(overlay, by_name[mount["name"]], mount["mountPath"], words)
    paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    for word in words:
        if word.startswith(("/etc/", "/run/")) and not any(word.startswith(path + "/") for path in paths):
            yield f"names {word}, where nothing is mounted"


def absent_files(overlay: Overlay, volume: Manifest, path: str, words: list[str]) -> Iterator[str]:
    """Files below the mount that a command line or a variable names, and that its source does not hold."""
    if "configMap" in volume:
        source, items = overlay.find("ConfigMap", volume["configMap"]["name"]), volume["configMap"].get("items")
    elif "secret" in volume:
        source, items = overlay.find("Secret", volume["secret"]["secretName"]), volume["secret"].get("items")
    else:
        return
    if source is None:
        return  # said by volumes()
    held = {item["path"] for item in items} if items else keys_of(source)
    for word in words:
        if word.startswith(path + "/") and word.removeprefix(path + "/") not in held:
            yield f"names {word}, but {name_of(source)} has no key {word.removeprefix(path + '/')}"


def variables(overlay: Overlay, container: Manifest) -> Iterator[str]:
    defined: set[str] = set()
    for name, variable in environment(container).items():
        for reference in REFERENCE.findall(variable.get("value", "")):
            if reference not in defined:
                yield f"{name} refers to {reference}, which is not set before it"
        defined.add(name)
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        source = overlay.find("Secret", secret["name"]) if secret else None
        if secret and (source is None or secret["key"] not in keys_of(source)):
            yield f"{name} wants key {secret['key']} of Secret {secret['name']}, which is not there"
        if container["name"] == "larderd" and not is_documented(name):
            yield f"sets {name}, which docs/configuration.md does not know"


def is_documented(variable: str) -> bool:
    return variable in documented_variables() or variable.startswith("CACHE_TTL_")


@functools.cache
def documented_variables() -> frozenset[str]:
    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    return frozenset(re.findall(r"`((?:LARDER|REDIS|CACHE)_[A-Z_]+|DISABLE_CACHE)`", text))


def larder_config(overlay: Overlay) -> tuple[str, Manifest] | None:
    config = overlay.find("ConfigMap", "larder")
    text = config["data"].get("larder.yaml") if config else None
    return None if text is None else (text, yaml.safe_load(text) or {})


def larder_memory(overlay: Overlay, container: Manifest) -> Iterator[str]:
    """What larderd would take by default depends on the limit, as docs/configuration.md says."""
    limit = byte_count(container.get("resources", {}).get("limits", {}).get("memory", "0"))
    _, config = larder_config(overlay) or ("", {})
    set_here = {name: variable.get("value") for name, variable in environment(container).items()}
    near = set_here.get("LARDER_NEAR_CAPACITY") or config.get("near", {}).get("capacity_bytes")
    taken = min(limit // 4, NEAR_AT_MOST) if near is None else byte_count(near)
    store = config.get("store", {})
    if not (set_here.get("REDIS_URL") or store.get("redis", {}).get("url")):
        embedded = store.get("embedded", {}).get("capacity_bytes")
        taken += min(limit // 4, EMBEDDED_AT_MOST) if embedded is None else byte_count(embedded)
    if taken > CACHE_SHARE * limit:
        yield f"caches take {taken >> 20} MiB, more than {CACHE_SHARE:.0%} of the memory limit of {limit >> 20} MiB"


def redis_memory(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads():
        for volume in pod_spec(workload).get("volumes", []):
            source = overlay.find("ConfigMap", volume.get("configMap", {}).get("name", ""))
            maximum = re.search(r"(?m)^maxmemory (\w+)$", (source or {"data": {}})["data"].get("redis.conf", ""))
            for container in containers(workload):
                if maximum is None or container["name"] != "redis":
                    continue
                limit = byte_count(container["resources"]["limits"]["memory"])
                if 1.5 * byte_count(maximum[1]) > limit:
                    yield f"{name_of(workload)}: maxmemory {maximum[1]} leaves too little of {limit >> 20} MiB"


def listens_where_it_says(config: Manifest, container: Manifest) -> Iterator[str]:
    for section in ("grpc", "operations"):
        host, _, port = config.get(section, {}).get("listen", "").rpartition(":")
        declared = [p["containerPort"] for p in container.get("ports", []) if p.get("name") == section]
        if host not in ("0.0.0.0", "[::]") or [port] != [str(number) for number in declared]:
            yield f"{section}.listen is {host}:{port}, the container's port {section} is {declared}"


def larderd_takes_it(overlay: Overlay, container: Manifest, larderd: pathlib.Path) -> Iterator[str]:
    found = larder_config(overlay)
    if found is None:
        yield "ConfigMap/larder has no key larder.yaml"
        return
    yield from listens_where_it_says(found[1], container)
    with tempfile.TemporaryDirectory(prefix="larder-check-") as folder:
        config, secret = pathlib.Path(folder) / "larder.yaml", pathlib.Path(folder) / "password"
        config.write_text(found[0], "utf-8")
        secret.write_text("a-password\n", "ascii")
        # The container's own environment, with a file where its Secret would be mounted.
        own = {name: variable.get("value", "") for name, variable in environment(container).items()}
        own |= {name: str(secret) for name in own if name.endswith("_FILE")}
        done = subprocess.run(
            [larderd, "--config", config, "--check"], env=own, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        yield f"larderd refuses its configuration: {(done.stderr + done.stdout).strip().replace(folder + '/', '')}"


def haproxy_takes_it(config: Manifest) -> Iterator[str]:
    text = config.get("data", {}).get("haproxy.cfg")
    if text is None:
        return
    own = {"REDIS_PASSWORD": "a-password", "NAMESPACE": "larder", "CLUSTER_DOMAIN": "cluster.local"}
    with tempfile.NamedTemporaryFile("w", suffix=".cfg", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = ["haproxy", "-c", "-f", file.name]
        done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    # No pod's name resolves here; that is the one warning to expect.
    lines = done.stderr.splitlines()
    bad = [line for line in lines if "[ALERT]" in line or ("[WARNING]" in line and "could not resolve" not in line)]
    if done.returncode != 0 or bad:
        yield f"haproxy refuses its configuration: {'; '.join(bad) or done.stderr}"
