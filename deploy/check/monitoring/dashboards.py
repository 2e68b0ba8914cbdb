"""What must hold of the dashboards, so that Grafana shows them as they are meant."""

import itertools
import re
from typing import Any

import expressions

# Variables that Grafana itself provides.
BUILT_IN = {"__rate_interval", "__range", "__interval"}
REQUIRED_VARIABLES = {"datasource", "job", "instance", "namespace"}
# What tells Larder's targets from those of others. "All" of them has to be the list that Grafana makes: names as `up`
# and `process_open_fds` are everybody's.
OF_TARGETS = {"job", "instance"}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

Json = dict[str, Any]


def panels(dashboard: Json) -> list[Json]:
    """Those that show something: rows are headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def defined_variables(dashboard: Json) -> dict[str, Json]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def queries(dashboard: Json) -> list[tuple[str, str]]:
    """Every expression with the name of where it stands."""
    found = [(f"annotation {each['name']!r}", each["expr"]) for each in dashboard["annotations"]["list"]]
    for panel in panels(dashboard):
        found += [(f"panel {panel.get('title')!r}", target.get("expr", "")) for target in panel.get("targets", [])]
    return found


def _overlap(a: Json, b: Json) -> bool:
    across = a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"]
    return across and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def _check_head(dashboard: Json) -> list[str]:
    problems = [f"no {key}" for key in ("uid", "title", "description", "tags", "refresh") if not dashboard.get(key)]
    if dashboard.get("schemaVersion", 0) < 38:
        problems.append("schemaVersion is older than Grafana 10's")
    if not dashboard.get("time", {}).get("from"):
        problems.append("no time range")
    missing = REQUIRED_VARIABLES - defined_variables(dashboard).keys()
    problems += [f"no variable {name}" for name in sorted(missing)]
    for name, variable in defined_variables(dashboard).items():
        if name in OF_TARGETS and variable.get("allValue"):
            problems.append(f"variable {name}: All is {variable['allValue']!r}, which others' targets are too")
    return problems


def _check_panel(panel: Json) -> list[str]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    problems = [f"no {key}" for key in ("title", "description", "targets") if not panel.get(key)]
    if not defaults.get("unit"):
        problems.append("no unit")
    targets = panel.get("targets", [])
    if any(each.get("datasource") != DATA_SOURCE for each in [panel, *targets]):
        problems.append("another data source than ${datasource}")
    if any(not target.get("legendFormat") for target in targets):
        problems.append("a query without a legend")
    ids = [target.get("refId") for target in targets]
    if len(set(ids)) != len(ids):
        problems.append("a refId twice")
    return problems


def _check_thresholds(panel: Json, alerts: dict[str, Json]) -> list[str]:
    """The steps are the thresholds of the alerts that the description names, but for a threshold of 0: a step there
    would colour what is good."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    values = {step["value"] for step in steps if step["value"] is not None}
    problems = []
    wanted = set()
    for name in re.findall(r"\bLarder[A-Z]\w+", panel.get("description", "")):
        if name not in alerts:
            problems.append(f"there is no alert {name}")
        elif number := expressions.threshold(alerts[name]["expr"]):
            wanted.add(number)
    if not wanted <= values:
        problems.append(f"thresholds {sorted(values)} lack the alerts' {sorted(wanted - values)}")
    if wanted and values - wanted:
        problems.append(f"thresholds {sorted(values - wanted)} are no alert's")
    return problems


def check(dashboard: Json, alerts: dict[str, Json]) -> list[str]:
    """All that is wrong with one dashboard."""
    problems = _check_head(dashboard)
    defined = defined_variables(dashboard)
    used = set()
    for where, expression in queries(dashboard):
        unknown = expressions.variables(expression) - defined.keys() - BUILT_IN
        problems += [f"{where}: there is no variable ${name}" for name in sorted(unknown)]
        used |= expressions.variables(expression)
    for variable in defined.values():
        used |= expressions.variables(str(variable.get("datasource", "")))
    problems += [f"variable {name} is not used" for name in sorted(defined.keys() - used)]
    for panel in panels(dashboard):
        found = _check_panel(panel)
        found += _check_thresholds(panel, alerts) if not found else []
        problems += [f"panel {panel.get('title') or panel.get('id')!r}: {problem}" for problem in found]
    for a, b in itertools.combinations(dashboard["panels"], 2):
        if _overlap(a["gridPos"], b["gridPos"]):
            problems.append(f"panels {a['title']!r} and {b['title']!r} overlap")
    for panel in dashboard["panels"]:
        if panel["gridPos"]["x"] + panel["gridPos"]["w"] > COLUMNS:
            problems.append(f"panel {panel['title']!r} is wider than the page")
    ids = [panel["id"] for panel in dashboard["panels"]]
    problems += ["a panel id twice"] if len(set(ids)) != len(ids) else []
    return problems
