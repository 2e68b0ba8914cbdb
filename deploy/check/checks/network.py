"""The network: that names lead to pods, and that the policies let through what is needed."""

import dataclasses
import re
from collections.abc import Iterator

from checks.manifests import Manifest, Overlay, containers, has_port, name_of, pod_labels, pod_spec, selects

PEER = re.compile(r"\b([a-z][a-z0-9-]*)-(\d+)\.([a-z][a-z0-9-]*)\b")
URL = re.compile(r"redis://(?:[^@/]*@)?([a-z0-9-]+):(\d+)")


@dataclasses.dataclass(frozen=True)
class Flow:
    """Pods of `source` open connections to the port of the pods of `target`."""

    source: Manifest
    target: Manifest
    port: int


def check(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads():
        for direction in ("Ingress", "Egress"):
            if not list(policies_of(overlay, workload, direction)):
                yield f"{name_of(workload)}: no NetworkPolicy bounds its {direction}"
    for policy in overlay.all("NetworkPolicy"):
        yield from (f"{name_of(policy)}: {problem}" for problem in policy_targets(overlay, policy))
    for flow in (*named_flows(overlay), *url_flows(overlay)):
        if isinstance(flow, str):
            yield flow
        else:
            yield from refused(overlay, flow)
    yield from reachable_services(overlay)
    yield from monitors(overlay)


def policies_of(overlay: Overlay, workload: Manifest, direction: str) -> Iterator[Manifest]:
    for policy in overlay.all("NetworkPolicy"):
        spec = policy["spec"]
        if direction in spec["policyTypes"] and selects(spec["podSelector"], pod_labels(workload)):
            yield policy


def policy_targets(overlay: Overlay, policy: Manifest) -> Iterator[str]:
    """Nothing in a policy may be about pods or ports that are not there; outside our namespace we know only DNS."""
    pods = overlay.pods_of(policy["spec"]["podSelector"])
    if not pods:
        yield "selects no pods"
    for rule in policy["spec"].get("ingress", []):
        for port in rule.get("ports", []):
            if not any(has_port(workload, port["port"]) for workload in pods):
                yield f"lets in port {port['port']}, which its pods do not have"
    for rule in policy["spec"].get("egress", []):
        ours = [peer["podSelector"] for peer in rule["to"] if set(peer) == {"podSelector"}]
        for selector in ours:
            targets = overlay.pods_of(selector)
            if not targets:
                yield f"lets out to {selector}, which selects no pods"
            for port in rule.get("ports", []):
                if not any(has_port(workload, port["port"]) for workload in targets):
                    yield f"lets out to port {port['port']}, which the pods of {selector} do not have"
        if not ours and {port["port"] for port in rule.get("ports", [])} != {53}:
            yield "lets out to other namespaces by a port that is not DNS"


def named_flows(overlay: Overlay) -> Iterator[Flow | str]:
    """Who is told the names of a StatefulSet's pods will connect to them."""
    for workload in overlay.workloads():
        words = [variable.get("value", "") for c in containers(workload) for variable in c.get("env", [])]
        for volume in pod_spec(workload).get("volumes", []):
            source = overlay.find("ConfigMap", volume.get("configMap", {}).get("name", ""))
            words += (source or {"data": {}})["data"].values()
        told: dict[str, set[int]] = {}
        for name, ordinal, service in PEER.findall("\n".join(words)):
            target = overlay.find("StatefulSet", name)
            if target is None or target["spec"]["serviceName"] != service:
                yield f"{name_of(workload)}: is told of {name}-{ordinal}.{service}, which is no pod"
            else:
                told.setdefault(name, set()).add(int(ordinal))
        for name, ordinals in told.items():
            target = overlay.find("StatefulSet", name)
            assert target is not None
            if ordinals != set(range(target["spec"]["replicas"])):
                yield f"{name_of(workload)}: is told of {sorted(ordinals)} of the {target['spec']['replicas']} {name}"
            for port in (p for c in containers(target) for p in c["ports"]):
                yield Flow(workload, target, port["containerPort"])


def url_flows(overlay: Overlay) -> Iterator[Flow | str]:
    for workload in overlay.workloads():
        values = [variable.get("value", "") for c in containers(workload) for variable in c.get("env", [])]
        for host, port in URL.findall("\n".join(values)):
            service = overlay.find("Service", host)
            ports = {p["port"]: p for p in service["spec"]["ports"]} if service else {}
            if service is None or int(port) not in ports:
                yield f"{name_of(workload)}: redis://{host}:{port} is no Service's port"
                continue
            name = ports[int(port)].get("targetPort", int(port))
            for target in overlay.pods_of({"matchLabels": service["spec"]["selector"]}):
                declared = [p for c in containers(target) for p in c["ports"]]
                numbers = [p["containerPort"] for p in declared if name in (p["containerPort"], p.get("name"))]
                yield from (Flow(workload, target, number) for number in numbers)


def refused(overlay: Overlay, flow: Flow) -> Iterator[str]:
    way = f"{name_of(flow.source)} cannot reach {name_of(flow.target)} at port {flow.port}"
    if not lets_through(overlay, flow.source, "Egress", flow.target, flow):
        yield f"{way}: no policy lets it out"
    if not lets_through(overlay, flow.target, "Ingress", flow.source, flow):
        yield f"{way}: no policy lets it in"


def lets_through(overlay: Overlay, workload: Manifest, direction: str, other: Manifest, flow: Flow) -> bool:
    side, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    for policy in policies_of(overlay, workload, direction):
        for rule in policy["spec"].get(side, []):
            ports = [port["port"] for port in rule.get("ports", [])]
            if not any(opens(flow, port) for port in ports):
                continue
            selectors = [peer["podSelector"] for peer in rule.get(peers, []) if set(peer) == {"podSelector"}]
            if any(selects(selector, pod_labels(other)) for selector in selectors):
                return True
    return False


def opens(flow: Flow, port: int | str) -> bool:
    declared = [p for c in containers(flow.target) for p in c["ports"]]
    return any(port in (p["containerPort"], p.get("name")) for p in declared if p["containerPort"] == flow.port)


def reachable_services(overlay: Overlay) -> Iterator[str]:
    """A port that a Service offers and that no policy lets in would be offered to nobody."""
    for service in overlay.all("Service"):
        for workload in overlay.pods_of({"matchLabels": service["spec"]["selector"]}):
            policies = policies_of(overlay, workload, "Ingress")
            rules = [rule for policy in policies for rule in policy["spec"].get("ingress", [])]
            opened = {port["port"] for rule in rules for port in rule.get("ports", [])}
            for port in service["spec"]["ports"]:
                if port.get("targetPort", port["port"]) not in opened:
                    yield f"{name_of(service)}: no NetworkPolicy lets port {port['name']} in"


def monitors(overlay: Overlay) -> Iterator[str]:
    for monitor in overlay.all("ServiceMonitor"):
        found = [s for s in overlay.all("Service") if selects(monitor["spec"]["selector"], s["metadata"]["labels"])]
        if len(found) != 1:
            yield f"{name_of(monitor)}: selects {len(found)} Services, not one"
        for endpoint in monitor["spec"]["endpoints"]:
            for service in found:
                if endpoint["port"] not in [port["name"] for port in service["spec"]["ports"]]:
                    yield f"{name_of(monitor)}: {name_of(service)} has no port {endpoint['port']}"
        if not all(endpoint.get("honorLabels") for endpoint in monitor["spec"]["endpoints"]):
            yield f"{name_of(monitor)}: without honorLabels the metrics' label `namespace` is renamed"
        for service in found:
            job = service["metadata"]["labels"].get(monitor["spec"].get("jobLabel"), "")
            if not job.startswith("larder"):
                yield f"{name_of(monitor)}: the job is {job!r}; the rules look for those that begin with larder"
