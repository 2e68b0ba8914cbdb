"""Mistakes planted into a copy of deploy/kubernetes: each has to be found, and for the right reason."""

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from checks.cross import problems
from checks.manifests import KUBERNETES, CheckError, Overlay, render


@dataclasses.dataclass(frozen=True)
class Mistake:
    """In `file` the first `old` becomes `new`; then the check of `overlay` says `message`."""

    what: str
    file: str
    old: str
    new: str
    message: str
    overlay: str = "production"


DEPLOYMENT, SERVICE, REDIS = "base/deployment.yaml", "base/service.yaml", "redis-sentinel/redis.yaml"
LIVENESS = "path: /healthz\n              port: operations\n            periodSeconds: 10"
SELECTED = "app.kubernetes.io/component: server\n  ports:"

# Found by the cross-checks.
CROSS = (
    Mistake("a Service's selector", SERVICE, SELECTED, SELECTED.replace("server", "serve"),
            "Service/larder-headless: selects the pods of 0 workloads"),
    Mistake("a Deployment's selector", DEPLOYMENT, "matchLabels:\n      app.kubernetes.io/name: larder\n",
            "matchLabels:\n      app.kubernetes.io/name: lader\n", "Deployment/larder: its selector does not match"),
    Mistake("a Service's target port", SERVICE, "targetPort: grpc", "targetPort: rpc",
            "Service/larder-headless: port grpc leads to rpc, which its pods do not have"),
    Mistake("a probe's port", DEPLOYMENT, "port: operations", "port: operation",
            "container larderd: startupProbe asks port operation, which it does not have"),
    Mistake("a liveness probe that follows the drain", DEPLOYMENT, LIVENESS, LIVENESS.replace("healthz", "readyz"),
            "livenessProbe does not ask /healthz"),
    Mistake("a ConfigMap's key", DEPLOYMENT, "/etc/larder/larder.yaml", "/etc/larder/larder.yml",
            "names /etc/larder/larder.yml, but ConfigMap/larder has no key larder.yml"),
    Mistake("a port that larderd does not listen at", DEPLOYMENT, "containerPort: 50051", "containerPort: 50052",
            "grpc.listen is 0.0.0.0:50051, the container's port grpc is [50052]"),
    Mistake("a server that only its own pod can reach", "base/larder.yaml", "listen: 0.0.0.0:9090",
            "listen: 127.0.0.1:9090", "operations.listen is 127.0.0.1:9090, the container's port operations is [9090]"),
    Mistake("a file mounted by subPath", DEPLOYMENT, "mountPath: /etc/larder\n",
            "mountPath: /etc/larder/larder.yaml\n              subPath: larder.yaml\n", "mounts config by subPath"),
    Mistake("a field of larder.yaml", "base/larder.yaml", "drain_timeout: 15s", "drain_timout: 15s",
            'grpc.drain_timout: unknown field; did you mean "drain_timeout"?'),
    Mistake("a drain longer than the grace period", "base/larder.yaml", "drain_timeout: 15s", "drain_timeout: 25s",
            "preStop 5000 ms + drain_timeout 25000 ms + 5000 ms to end is more than the grace period of 30000 ms"),
    Mistake("a grace period too short", DEPLOYMENT, "GracePeriodSeconds: 30", "GracePeriodSeconds: 20",
            "is more than the grace period of 20000 ms"),
    Mistake("a root user", DEPLOYMENT, "runAsUser: 10001", "runAsUser: 0",
            "container larderd: runAsUser is 0, not 10000 or more"),
    Mistake("a user that the image does not have", DEPLOYMENT, "runAsUser: 10001", "runAsUser: 10009",
            "container larderd: runAsUser is 10009, the image's 10001"),
    Mistake("root allowed", DEPLOYMENT, "        runAsNonRoot: true\n", "",
            "container larderd: runAsNonRoot is not true"),
    Mistake("a writable root file system", REDIS, "            readOnlyRootFilesystem: true\n", "",
            "StatefulSet/larder-redis: container redis: readOnlyRootFilesystem is not true"),
    Mistake("a token mounted", "base/service-account.yaml", "automountServiceAccountToken: false", "",
            "ServiceAccount/larder: mounts its token"),
    Mistake("a budget's selector", "base/disruption-budget.yaml", "component: server\n\0", "component: client\n",
            "PodDisruptionBudget/larder: selects the pods of 0 workloads"),
    Mistake("an autoscaler's target", "base/autoscaler.yaml", "    kind: Deployment\n    name: larder\n",
            "    kind: Deployment\n    name: larderd\n", "there is no apps/v1 Deployment/larderd to scale"),
    Mistake("a number of replicas beside the autoscaler", "overlays/production/redis.yaml", "spec:\n  template",
            "spec:\n  replicas: 3\n  template", "Deployment/larder sets `replicas` too"),
    Mistake("a drifted PrometheusRule", "base/prometheus-rule.yaml", "alert: ", "alert: Old",
            "PrometheusRule/larder: differs from deploy/prometheus/rules.yaml"),
    Mistake("a policy's port", "base/network-policy.yaml", "port: grpc", "port: 50052",
            "NetworkPolicy/larder: lets in port 50052, which its pods do not have"),
    Mistake("a policy without the proxy", "overlays/production/redis-access.yaml", "name: larder-redis-proxy",
            "name: larder-redis-prox",
            "Deployment/larder cannot reach Deployment/larder-redis-proxy at port 6379: no policy lets it out"),
    Mistake("a policy that shuts Sentinel out", "redis-sentinel/network-policies.yaml",
            "values: [larder-redis, larder-sentinel, larder-redis-proxy]\n      ports",
            "values: [larder-redis, larder-redis-proxy]\n      ports",
            "StatefulSet/larder-sentinel cannot reach StatefulSet/larder-redis at port 6379: no policy lets it in"),
    Mistake("a monitor's port", "base/service-monitor.yaml", "port: operations", "port: metrics",
            "ServiceMonitor/larder: Service/larder-headless has no port metrics"),
    Mistake("a monitor that renames labels", "base/service-monitor.yaml", "honorLabels: true", "honorLabels: false",
            "ServiceMonitor/larder: without honorLabels"),
    Mistake("a Secret's key", "overlays/production/redis.yaml", "- key: password", "- key: passwd",
            "volume redis-password: Secret/larder-redis has no key passwd"),
    Mistake("a variable's name", "overlays/production/redis.yaml", "name: REDIS_URL", "name: REDIS_URI",
            "sets REDIS_URI, which docs/configuration.md does not know"),
    Mistake("a near tier larger than its container", "overlays/dev/small.yaml", "name: LARDER_LOG_LEVEL\n              "
            "value: debug", "name: LARDER_NEAR_CAPACITY\n              value: 200MiB",
            "caches take 264 MiB, more than 60% of the memory limit of 256 MiB", "dev"),
    Mistake("Redis larger than its container", "redis-sentinel/redis.conf", "maxmemory 1gb", "maxmemory 2gb",
            "StatefulSet/larder-redis: maxmemory 2gb leaves too little of 2048 MiB"),
    Mistake("one ConfigMap for Redis and Sentinel", "redis-sentinel/sentinel.yaml",
            "configMap:\n            name: larder-sentinel", "configMap:\n            name: larder-redis",
            "StatefulSet/larder-redis and StatefulSet/larder-sentinel share a ConfigMap"),
    Mistake("a probe's script", REDIS, "is-redis-ready.sh", "is-ready.sh",
            "names /etc/larder-redis/is-ready.sh, but ConfigMap/larder-redis"),
    Mistake("an open port as readiness", REDIS,
            "exec:\n              command: [sh, /etc/larder-redis/is-redis-ready.sh]", "tcpSocket:\n              port: redis",
            "container redis: an open port is no readiness"),
    Mistake("pods replaced in haste", REDIS, "minReadySeconds: 15", "minReadySeconds: 5",
            "StatefulSet/larder-redis: minReadySeconds is 5, not 15 or more"),
    Mistake("two Redis on one node", REDIS, "minDomains: 3", "minDomains: 2",
            "StatefulSet/larder-redis: with too few nodes two of its pods would go to one"),
    Mistake("HAProxy's configuration", "redis-sentinel/haproxy.cfg", "option tcp-check", "option tcp-chek",
            "haproxy refuses its configuration: "),
    Mistake("a Redis node that HAProxy does not know", "redis-sentinel/haproxy.cfg", "larder-redis-2.larder-redis",
            "larder-redis-3.larder-redis", "Deployment/larder-redis-proxy: is told of [0, 1, 3] of the 3 larder-redis"),
    Mistake("an image's tag", "base/kustomization.yaml", "newTag: 0.1.0", "newTag: latest",
            "image larder:latest is not pinned"),
)

# Found by the schemas alone.
SCHEMA = (
    Mistake("an unknown field of a Deployment", DEPLOYMENT, "  strategy:", "  stragety:",
            '"stragety"\' does not exist in type'),
    Mistake("an unknown field of a container", DEPLOYMENT, "failureThreshold: 30", "failureTreshold: 30",
            '"failureTreshold"\' does not exist in type'),
    Mistake("an unknown field of a ServiceMonitor", "base/service-monitor.yaml", "scrapeTimeout", "scrapeTimeOut",
            '"scrapeTimeOut"\' does not exist in type'),
    Mistake("a number where there must be a text", "base/autoscaler.yaml", "averageUtilization: 70",
            'averageUtilization: "70"', "Type 'string' is not assignable to type 'number'"),
)


@contextlib.contextmanager
def planted(mistake: Mistake) -> Iterator[Overlay]:
    with tempfile.TemporaryDirectory(prefix="larder-mistake-") as folder:
        copy = pathlib.Path(folder) / "kubernetes"
        shutil.copytree(KUBERNETES, copy)
        file = copy / mistake.file
        text = file.read_text("utf-8") + "\0"  # so that a mistake can name the file's end
        if mistake.old not in text:
            raise CheckError(f"planted mistake '{mistake.what}': {mistake.file} does not hold what it changes")
        file.write_text(text.replace(mistake.old, mistake.new, 1).rstrip("\0"), "utf-8")
        yield render(mistake.overlay, copy)


def not_caught(larderd: pathlib.Path) -> list[str]:
    missed = []
    for mistake in CROSS:
        with planted(mistake) as overlay:
            found = problems(overlay, larderd)
        if not any(mistake.message in problem for problem in found):
            missed.append(f"planted mistake '{mistake.what}' is not caught: '{mistake.message}' is not in {found}")
    return missed
