"""Plants mistakes into copies of the rules and dashboards, and demands that each is found."""

import copy
import json
import pathlib
import unittest
from collections.abc import Callable
from typing import Any

import dashboards
import expressions
import rules
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = rules.load(ROOT / "deploy/prometheus/rules.yaml")
TESTS = yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yaml").read_text("utf-8"))["tests"]
RUNBOOKS = (ROOT / "docs/operations.md").read_text("utf-8")
OVERVIEW = json.loads((ROOT / "deploy/grafana/dashboards/overview.json").read_text("utf-8"))


class PlantedInRules(unittest.TestCase):
    def found(self, plant: Callable[[rules.Rule], Any], wanted: str) -> None:
        planted = copy.deepcopy(RULES)
        plant(rules.alerts(planted)["LarderStoreDown"])
        self.assertIn(wanted, "\n".join(rules.check_alerts(planted, RUNBOOKS)))

    def test_alerts(self) -> None:
        self.found(lambda alert: alert.update(expr="sum(cache_store_up) < 1"), "'sum(cache_store_up) < 1' is neither")
        self.found(lambda alert: alert.update(expr="cache_store_up"), "'cache_store_up' is neither")
        self.found(lambda alert: alert.update(labels={"severity": "bad"}), "severity is none of")
        self.found(lambda alert: alert["annotations"].pop("summary"), "no summary")
        self.found(lambda alert: alert["annotations"].update(description="down"), "does not tell the value")
        self.found(lambda alert: alert["annotations"].update(runbook_url="docs/operations.md#gone"), "leads nowhere")
        self.found(lambda alert: alert["annotations"].update(runbook_url="larderstoredown"), "leads nowhere")
        self.found(
            lambda alert: alert["annotations"].update(runbook_url="docs/operations.md#lardermemoryhigh"),
            "its runbook #lardermemoryhigh does not speak of it",
        )

    def test_runbooks(self) -> None:
        for part in rules.RUNBOOK_PARTS:
            begin = RUNBOOKS.index("### LarderStoreDown")
            text = RUNBOOKS[:begin] + RUNBOOKS[begin:].replace(part, "", 1)
            self.assertEqual(len(rules.check_alerts(RULES, text)), 1, part)

    def test_tests(self) -> None:
        self.assertEqual(rules.check_tests(RULES, TESTS), [])
        for fires, wanted in ((True, "in which it fires"), (False, "in which it is quiet")):
            planted = copy.deepcopy(TESTS)
            for test in planted:
                test["alert_rule_test"] = [
                    case
                    for case in test.get("alert_rule_test", [])
                    if case["alertname"] != "LarderWorkShed" or bool(case["exp_alerts"]) != fires
                ]
            self.assertEqual(rules.check_tests(RULES, planted), [f"alert LarderWorkShed: no test {wanted}"])
        without = rules.check_tests(RULES, [{**test, "promql_expr_test": []} for test in TESTS])
        self.assertIn("record larder:cpu:rate5m: no alert and no test uses it", without)
        new = [*TESTS, {"alert_rule_test": [{"alertname": "LarderGone", "exp_alerts": []}]}]
        self.assertEqual(rules.check_tests(RULES, new), ["rules_test.yaml: there is no alert LarderGone"])


class PlantedInDashboards(unittest.TestCase):
    def found(self, plant: Callable[[dashboards.Json], Any], wanted: str) -> None:
        planted = copy.deepcopy(OVERVIEW)
        plant(planted)
        self.assertIn(wanted, "\n".join(dashboards.check(planted, rules.alerts(RULES))))

    def of_panel(self, plant: Callable[[dashboards.Json], Any], wanted: str) -> None:
        self.found(lambda board: plant(next(p for p in dashboards.panels(board) if p["title"] == "Hit ratio")), wanted)

    def test_panels(self) -> None:
        self.of_panel(lambda panel: panel.pop("title"), "no title")
        self.of_panel(lambda panel: panel.update(description=""), "no description")
        self.of_panel(lambda panel: panel["fieldConfig"]["defaults"].pop("unit"), "no unit")
        self.of_panel(lambda panel: panel.update(datasource={"uid": "mine"}), "another data source")
        self.of_panel(lambda panel: panel["targets"][0].pop("datasource"), "another data source")
        self.of_panel(lambda panel: panel["targets"][0].update(legendFormat=""), "a query without a legend")
        self.of_panel(lambda panel: panel["targets"].append(panel["targets"][0]), "a refId twice")
        self.of_panel(lambda panel: panel["gridPos"].update(x=1), "overlap")
        self.of_panel(lambda panel: panel["gridPos"].update(x=23), "is wider than the page")
        self.of_panel(lambda panel: panel.update(id=1), "a panel id twice")

    def test_thresholds(self) -> None:
        def steps(panel: dashboards.Json) -> Any:
            return panel["fieldConfig"]["defaults"]["thresholds"]["steps"]

        self.of_panel(lambda panel: steps(panel)[1].update(value=0.5), "lack the alerts' [0.6]")
        self.of_panel(lambda panel: steps(panel).append({"color": "blue", "value": 0.9}), "[0.9] are no alert's")
        self.of_panel(lambda panel: panel.update(description="LarderGone"), "there is no alert LarderGone")

    def test_whole(self) -> None:
        self.assertEqual(dashboards.check(OVERVIEW, rules.alerts(RULES)), [])
        self.of_panel(lambda panel: panel["targets"][0].update(expr="up{job=~'$jobs'}"), "there is no variable $jobs")
        self.found(lambda board: board["templating"]["list"].pop(), "no variable namespace")
        self.found(lambda board: board["templating"]["list"].append({"name": "more"}), "variable more is not used")
        self.found(
            lambda board: dashboards.defined_variables(board)["job"].update(allValue=".*"),
            "variable job: All is '.*', which others' targets are too",
        )
        self.found(lambda board: board.update(schemaVersion=30), "schemaVersion")
        self.found(lambda board: board.update(uid=""), "no uid")
        self.found(lambda board: board.pop("time"), "no time range")


class Expressions(unittest.TestCase):
    def test_operands(self) -> None:
        taken_apart = {
            "a:b < 0.8\nand c{d=~'e'} > 1": ["a:b", "c{d=~'e'}"],
            "a > 1 unless b < 2": ["a", "b"],
            "absent(a)": ["a"],
        }
        for expression, wanted in taken_apart.items():
            self.assertEqual(expressions.operands(expression), wanted)
        for expression in ("a", "a > b", "rate(a[5m]) > 1", "a > 1 or b > 1", "a == 1"):
            self.assertRaises(expressions.NotSimple, expressions.operands, expression)

    def test_variables(self) -> None:
        text = 'a{job=~"$job", b="${instance:regex}"}[$__rate_interval]'
        self.assertEqual(expressions.variables(text), {"job", "instance", "__rate_interval"})
        values = {"job": "j", "instance": "i", "__rate_interval": "1m"}
        self.assertEqual(expressions.substitute(text, values), 'a{job=~"j", b="i"}[1m]')

    def test_selectors(self) -> None:
        text = 'sum(rate(a_total{job=~"x|y"}[5m])) / (b:c{} > 0)'
        self.assertEqual(expressions.selectors(text), {'a_total{job=~"x|y"}', "b:c{}"})

    def test_anchors(self) -> None:
        pages = rules.sections("# A b, c-d `e`\nx\n## Z\ny\n")
        self.assertEqual(pages, {"a-b-c-d-e": "x\n", "z": "y\n"})


if __name__ == "__main__":
    unittest.main()
