"""Renders an overlay and answers questions about what came out."""

import dataclasses
import functools
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("dev", "production")
# The same language, ten times as fast where the C library is there.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Manifest = dict[str, Any]
Labels = dict[str, str]


class CheckError(Exception):
    """The check itself cannot go on; the message says what to do."""


@functools.cache
def kubectl() -> str:
    found = subprocess.run([ROOT / "deploy/check/kubectl.sh"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        raise CheckError("no kubectl to render with")
    return found.stdout.strip()


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@dataclasses.dataclass(frozen=True)
class Overlay:
    """The rendered manifests of one overlay, and the Secrets that its folder shows by example."""

    name: str
    manifests: list[Manifest]
    secrets: list[Manifest]

    def all(self, *kinds: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def find(self, kind: str, name: str) -> Manifest | None:
        among = self.secrets if kind == "Secret" else self.manifests
        return next((m for m in among if m["kind"] == kind and m["metadata"]["name"] == name), None)

    def workloads(self) -> list[Manifest]:
        return self.all("Deployment", "StatefulSet")

    def pods_of(self, selector: Manifest) -> list[Manifest]:
        """The workloads whose pods the selector takes."""
        return [workload for workload in self.workloads() if selects(selector, pod_labels(workload))]


def render(name: str, kubernetes: pathlib.Path = KUBERNETES) -> Overlay:
    """Raises CheckError with kustomize's own words if it does not render."""
    folder = kubernetes / "overlays" / name
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CheckError(f"{name}: does not render: {done.stderr.strip()}")
    if done.stderr.strip():
        raise CheckError(f"{name}: kustomize warns: {done.stderr.strip()}")
    secrets = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(folder.glob("secret*.example.yaml"))]
    return Overlay(name, list(yaml.load_all(done.stdout, Loader=LOADER)), secrets)


def selects(selector: Manifest, labels: Labels) -> bool:
    """A label selector as Kubernetes reads it; an empty one takes everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        has = labels.get(expression["key"])
        fits = {
            "In": has in expression.get("values", []),
            "NotIn": has not in expression.get("values", []),
            "Exists": has is not None,
            "DoesNotExist": has is None,
        }
        if not fits[expression["operator"]]:
            return False
    return True


def pod_labels(workload: Manifest) -> Labels:
    return workload["spec"]["template"]["metadata"].get("labels", {})


def pod_spec(workload: Manifest) -> Manifest:
    return workload["spec"]["template"]["spec"]


def containers(workload: Manifest) -> Iterator[Manifest]:
    yield from pod_spec(workload).get("initContainers", [])
    yield from pod_spec(workload)["containers"]


def has_port(workload: Manifest, port: int | str) -> bool:
    """Is it the number or the name of a port that a container of the pod declares?"""
    ports = [declared for container in containers(workload) for declared in container.get("ports", [])]
    return any(port in (declared["containerPort"], declared.get("name")) for declared in ports)


def environment(container: Manifest) -> dict[str, Manifest]:
    return {variable["name"]: variable for variable in container.get("env", [])}
