"""Pods: that they may run, are found by what refers to them, and end in time."""

import re
from collections.abc import Iterator

import yaml

from checks.manifests import (
    ROOT,
    Labels,
    Manifest,
    Overlay,
    containers,
    has_port,
    name_of,
    pod_labels,
    pod_spec,
    selects,
)
from checks.units import milliseconds

RECOMMENDED = tuple(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by"))
LOWEST_USER = 10000
# For what has to notice a new pod before the next one is replaced.
STATEFUL_READY_SECONDS = 15
# The most that a pod may take besides its pause and its drain: health turns, connections close, the process ends.
TIME_TO_END_MS = 5000


def check(overlay: Overlay) -> Iterator[str]:
    for manifest in overlay.manifests:
        if manifest["kind"] != "Namespace":
            yield from missing_labels(manifest, manifest["metadata"].get("labels", {}))
    for workload in overlay.workloads():
        yield from missing_labels(workload, pod_labels(workload))
        yield from selectors(workload)
        yield from identity(overlay, workload)
        for container in containers(workload):
            where = f"{name_of(workload)}: container {container['name']}"
            yield from (f"{where}: {problem}" for problem in restrictions(workload, container))
            yield from (f"{where}: {problem}" for problem in probes(workload, container))
            yield from (f"{where}: {problem}" for problem in images(workload, container))
    yield from services(overlay)
    yield from disruption_budgets(overlay)
    yield from autoscalers(overlay)
    yield from grace_period(overlay)
    yield from one_by_one(overlay)


def missing_labels(manifest: Manifest, labels: Labels) -> Iterator[str]:
    for label in RECOMMENDED:
        if label not in labels:
            yield f"{name_of(manifest)}: has no label {label}"


def selectors(workload: Manifest) -> Iterator[str]:
    if not selects(workload["spec"]["selector"], pod_labels(workload)):
        yield f"{name_of(workload)}: its selector does not match the labels of its pods"
    for constraint in pod_spec(workload).get("topologySpreadConstraints", []):
        if not selects(constraint["labelSelector"], pod_labels(workload)):
            yield f"{name_of(workload)}: the spread over {constraint['topologyKey']} does not match its pods' labels"


def identity(overlay: Overlay, workload: Manifest) -> Iterator[str]:
    spec = pod_spec(workload)
    account = overlay.find("ServiceAccount", spec.get("serviceAccountName", "default"))
    if account is None:
        yield f"{name_of(workload)}: there is no ServiceAccount {spec.get('serviceAccountName')}"
    elif account.get("automountServiceAccountToken") is not False:
        yield f"{name_of(account)}: mounts its token"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{name_of(workload)}: mounts its account's token"


def restrictions(workload: Manifest, container: Manifest) -> Iterator[str]:
    """Kubernetes' `restricted` pod security standard, and what we ask beyond it."""
    context = pod_spec(workload).get("securityContext", {}) | container.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    for field, value in wanted.items():
        if context.get(field) is not value:
            yield f"{field} is not {str(value).lower()}"
    if context.get("runAsUser", 0) < LOWEST_USER:
        yield f"runAsUser is {context.get('runAsUser')}, not {LOWEST_USER} or more"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile is not RuntimeDefault"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "does not drop all capabilities"
    resources = container.get("resources", {})
    for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        if name not in resources.get(kind, {}):
            yield f"has no {name} in its resource {kind}"


def probes(workload: Manifest, container: Manifest) -> Iterator[str]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name)
        if probe is None:
            yield f"has no {name}"
            continue
        action = probe.get("httpGet") or probe.get("tcpSocket") or {}
        if action and not has_port({"spec": {"template": {"spec": {"containers": [container]}}}}, action["port"]):
            yield f"{name} asks port {action['port']}, which it does not have"
    if container["name"] != "larderd":
        return
    # /readyz turns at SIGTERM; a liveness probe that followed it would kill what drains.
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for name, path in paths.items():
        if container.get(name, {}).get("httpGet", {}).get("path") != path:
            yield f"{name} does not ask {path} over HTTP"


def images(workload: Manifest, container: Manifest) -> Iterator[str]:
    name, _, tag = container["image"].rpartition(":")
    if not name or tag == "latest":
        yield f"image {container['image']} is not pinned"
    if container["name"] != "larderd":
        return
    user = re.search(r"(?m)^USER (\d+)", (ROOT / "Dockerfile").read_text("utf-8"))
    runs_as = pod_spec(workload)["securityContext"].get("runAsUser")
    if user is None or runs_as != int(user[1]):
        yield f"runAsUser is {runs_as}, the image's {user and user[1]}"
    project = (ROOT / "CMakeLists.txt").read_text("utf-8")
    version = re.search(r"project\(larder VERSION ([\d.]+)", project)
    label = pod_labels(workload).get("app.kubernetes.io/version")
    for what, has in (("the image's tag", tag), ("the version label", label)):
        if version is None or has != version[1]:
            yield f"{what} is {has}, the project's version {version and version[1]}"


def services(overlay: Overlay) -> Iterator[str]:
    for service in overlay.all("Service"):
        pods = overlay.pods_of({"matchLabels": service["spec"]["selector"]})
        if len(pods) != 1:
            yield f"{name_of(service)}: selects the pods of {len(pods)} workloads, not of one"
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if not all(has_port(workload, target) for workload in pods):
                yield f"{name_of(service)}: port {port['name']} leads to {target}, which its pods do not have"
    for workload in overlay.all("StatefulSet"):
        governing = overlay.find("Service", workload["spec"]["serviceName"])
        if governing is None or governing["spec"].get("clusterIP") != "None":
            yield f"{name_of(workload)}: {workload['spec']['serviceName']} is no headless Service"
        elif workload not in overlay.pods_of({"matchLabels": governing["spec"]["selector"]}):
            yield f"{name_of(workload)}: its Service does not select its pods"


def disruption_budgets(overlay: Overlay) -> Iterator[str]:
    for budget in overlay.all("PodDisruptionBudget"):
        pods = overlay.pods_of(budget["spec"]["selector"])
        if len(pods) != 1:
            yield f"{name_of(budget)}: selects the pods of {len(pods)} workloads, not of one"
        if budget["spec"].get("maxUnavailable") in (0, "0%") or budget["spec"].get("minAvailable") == "100%":
            yield f"{name_of(budget)}: no node could be drained"
        for workload in pods:
            if workload["spec"].get("replicas") == 1:
                yield f"{name_of(budget)}: {name_of(workload)} has a single pod"


def autoscalers(overlay: Overlay) -> Iterator[str]:
    for scaler in overlay.all("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = overlay.find(target["kind"], target["name"])
        if workload is None or workload["apiVersion"] != target["apiVersion"]:
            yield f"{name_of(scaler)}: there is no {target['apiVersion']} {target['kind']}/{target['name']} to scale"
            continue
        if "replicas" in workload["spec"]:
            yield f"{name_of(scaler)}: {name_of(workload)} sets `replicas` too"
        if scaler["spec"]["minReplicas"] > scaler["spec"]["maxReplicas"]:
            yield f"{name_of(scaler)}: minReplicas is above maxReplicas"
        for container in containers(workload):
            if "cpu" not in container.get("resources", {}).get("requests", {}):
                yield f"{name_of(scaler)}: {name_of(workload)} requests no CPU to be measured by"


def one_by_one(overlay: Overlay) -> Iterator[str]:
    """StatefulSets: that a pod is replaced only when the one before it does its part, and on a node of its own."""
    for workload in overlay.all("StatefulSet"):
        seconds = workload["spec"].get("minReadySeconds", 0)
        if seconds < STATEFUL_READY_SECONDS:
            yield f"{name_of(workload)}: minReadySeconds is {seconds}, not {STATEFUL_READY_SECONDS} or more"
        for container in containers(workload):
            if "exec" not in container.get("readinessProbe", {}):
                yield f"{name_of(workload)}: container {container['name']}: an open port is no readiness"
        for constraint in pod_spec(workload).get("topologySpreadConstraints", []):
            if constraint.get("minDomains", 1) < workload["spec"]["replicas"]:
                yield f"{name_of(workload)}: with too few nodes two of its pods would go to one"
            if constraint.get("nodeTaintsPolicy") != "Honor":
                yield f"{name_of(workload)}: nodes where its pods may not run count as empty"


def grace_period(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads():
        grace = pod_spec(workload).get("terminationGracePeriodSeconds", 30) * 1000
        for container in containers(workload):
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) * 1000
            drain = drain_timeout(overlay) if container["name"] == "larderd" else 0
            if container["name"] == "larderd" and pause == 0:
                yield f"{name_of(workload)}: has no preStop pause, so that clients are sent away before DNS forgets it"
            if pause + drain + TIME_TO_END_MS > grace:
                yield (
                    f"{name_of(workload)}: preStop {pause} ms + drain_timeout {drain} ms + {TIME_TO_END_MS} ms to end "
                    f"is more than the grace period of {grace} ms"
                )


def drain_timeout(overlay: Overlay) -> int:
    config = overlay.find("ConfigMap", "larder")
    text = config["data"].get("larder.yaml", "") if config else ""
    return milliseconds((yaml.safe_load(text) or {}).get("grpc", {}).get("drain_timeout", "10s"))
