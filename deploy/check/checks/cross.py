"""All checks of one overlay that need no package registry."""

import pathlib

from checks import configuration, network, prometheus_rule, workloads
from checks.manifests import Overlay


def problems(overlay: Overlay, larderd: pathlib.Path) -> list[str]:
    found = [
        *workloads.check(overlay),
        *configuration.check(overlay, larderd),
        *network.check(overlay),
        *prometheus_rule.check(overlay),
    ]
    return [f"{overlay.name}: {problem}" for problem in found]
