"""What must hold of the rules, their tests and their runbooks, apart from what promtool checks."""

import collections
import pathlib
import re
from typing import Any

import expressions
import yaml

REQUIRED_ANNOTATIONS = {"summary", "description", "runbook_url"}
SEVERITIES = {"info", "warning", "critical"}
RUNBOOK = "docs/operations.md#"
RUNBOOK_PARTS = ("**Meaning.**", "**How bad.**", "**Look at.**", "**Do.**")

Rule = dict[str, Any]


def load(path: pathlib.Path) -> list[Rule]:
    groups = yaml.safe_load(path.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts(rules: list[Rule]) -> dict[str, Rule]:
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def sections(markdown: str) -> dict[str, str]:
    """The text under each heading, by the anchor that the heading has on GitHub."""
    found: dict[str, str] = {}
    anchor = ""
    for line in markdown.splitlines():
        if heading := re.match(r"#+ (.*)", line):
            anchor = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            found[anchor] = ""
        elif anchor:
            found[anchor] += line + "\n"
    return found


def check_alerts(rules: list[Rule], runbooks: str) -> list[str]:
    """Each alert can be taken apart, says what is needed, and leads to a runbook that speaks of it."""
    problems = []
    pages = sections(runbooks)
    for name, rule in alerts(rules).items():
        try:
            expressions.operands(rule["expr"])
        except expressions.NotSimple as error:
            problems.append(f"alert {name}: {error}")
        annotations = rule.get("annotations", {})
        for missing in sorted(REQUIRED_ANNOTATIONS - annotations.keys()):
            problems.append(f"alert {name}: no {missing}")
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            problems.append(f"alert {name}: severity is none of {', '.join(sorted(SEVERITIES))}")
        if "absent(" not in rule["expr"] and "$value" not in annotations.get("description", ""):
            problems.append(f"alert {name}: its description does not tell the value")
        url = annotations.get("runbook_url", "")
        head, _, anchor = url.rpartition(RUNBOOK)
        page = pages.get(anchor) if url.startswith(head + RUNBOOK) else None
        if page is None:
            problems.append(f"alert {name}: runbook_url {url!r} leads nowhere")
            continue
        heading_is_name = anchor == name.lower()
        if not heading_is_name and f"`{name}`" not in page:
            problems.append(f"alert {name}: its runbook #{anchor} does not speak of it")
        if [part for part in RUNBOOK_PARTS if part in page] != list(RUNBOOK_PARTS):
            problems.append(f"alert {name}: its runbook #{anchor} lacks one of {' '.join(RUNBOOK_PARTS)}")
    return problems


def check_tests(rules: list[Rule], tests: list[Rule]) -> list[str]:
    """Each alert fires in one test and is quiet in one; each recorded series is compared by an alert or in a test."""
    fires: collections.Counter[str] = collections.Counter()
    quiet: collections.Counter[str] = collections.Counter()
    used = " ".join(rule["expr"] for rule in rules)
    for test in tests:
        for case in test.get("alert_rule_test", []):
            (fires if case["exp_alerts"] else quiet)[case["alertname"]] += 1
        used += "".join(f" {case['expr']} " for case in test.get("promql_expr_test", []))
    known = alerts(rules)
    problems = [f"alert {name}: no test in which it fires" for name in known if not fires[name]]
    problems += [f"alert {name}: no test in which it is quiet" for name in known if not quiet[name]]
    problems += [f"rules_test.yaml: there is no alert {name}" for name in sorted({*fires, *quiet} - known.keys())]
    for rule in rules:
        if "record" in rule and not re.search(rf"(?<![\w:]){re.escape(rule['record'])}(?![\w:])", used):
            problems.append(f"record {rule['record']}: no alert and no test uses it")
    return problems
