"""The PrometheusRule holds what deploy/prometheus/rules.yaml holds. Kustomize cannot put a file's content into a
manifest's `spec`, so the manifest is written from that file, and the check sees to it that they stay equal."""

import functools
import pathlib
from collections.abc import Iterator

import yaml

from checks.manifests import KUBERNETES, LOADER, ROOT, CheckError, Manifest, Overlay, name_of

RULES = ROOT / "deploy/prometheus/rules.yaml"
MANIFEST = pathlib.Path("base/prometheus-rule.yaml")
HEAD = """\
# Written by `deploy/check/run --write` from deploy/prometheus/rules.yaml: change that file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: larder
  labels:
    app.kubernetes.io/name: larder
    app.kubernetes.io/component: server
spec:
"""


def write() -> None:
    if not RULES.is_file():
        raise CheckError(f"there is no {RULES.relative_to(ROOT)}")
    lines = [f"  {line}" if line else "" for line in RULES.read_text("utf-8").splitlines()]
    (KUBERNETES / MANIFEST).write_text(HEAD + "\n".join(lines) + "\n", "utf-8")


@functools.cache
def wanted_spec() -> Manifest:
    return yaml.load(RULES.read_text("utf-8"), Loader=LOADER)


def check(overlay: Overlay) -> Iterator[str]:
    if not RULES.is_file():
        yield f"there is no {RULES.relative_to(ROOT)}"
        return
    wanted = wanted_spec()
    rules = overlay.all("PrometheusRule")
    if len(rules) != 1:
        yield f"there are {len(rules)} PrometheusRules, not one"
    for rule in rules:
        if rule.get("spec") != wanted:
            yield f"{name_of(rule)}: differs from {RULES.relative_to(ROOT)}: run deploy/check/run --write"
