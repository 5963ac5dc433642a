"""The Grafana dashboard, the alerts and the example of a configuration: of metrics that there are, and as Prometheus reads them."""

import json
import re

import pytest

from built import TOP
from cluster import wait_until
from metrics import Scrape, check

DASHBOARD = TOP / "deploy/grafana/gleaner.json"
RULES = TOP / "deploy/prometheus/gleaner.rules.yml"
NAME = re.compile(r"\b(?:gleaner|process)_\w+")


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions():
    """As Grafana would ask: with what its variables stand for."""
    return [target["expr"].replace("$job", ".*").replace("$__rate_interval", "5m") for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def names(at_work):
    """Of a gateway and broker that have done something, and refused something."""
    at_work.api.wait_job(at_work.api.submit("exit 1"))
    at_work.api.get("/api/nothing")
    wait_until(lambda: Scrape(at_work.api)("gleaner_disk_size_bytes"), 10)
    return Scrape(at_work.api, open=False).names()


def test_the_dashboard_has_what_grafana_needs():
    board = json.loads(DASHBOARD.read_text())
    assert board["title"] == "Gleaner" and board["uid"] and board["schemaVersion"] >= 36
    assert {v["name"] for v in board["templating"]["list"]} == {"datasource", "job"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 20
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, f"{panel['title']} lies upon another panel"
        taken |= cells
    for panel in panels():
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert len(NAME.findall(target["expr"])) == target["expr"].count('job=~"$job"') > 0, target["expr"]


def test_every_metric_of_the_dashboard_is_there(names):
    used = {name for expr in expressions() for name in NAME.findall(expr)}
    assert len(used) > 30
    assert used <= names, used - names


def test_every_metric_of_the_alerts_is_there(names):
    used = set(NAME.findall(" ".join(line for line in RULES.read_text().splitlines() if not line.lstrip().startswith("#"))))
    assert {"gleaner_broker_up", "gleaner_queue_oldest_seconds"} <= used
    assert used <= names, used - names


def test_prometheus_reads_the_dashboard(tmp_path):
    rules = [{"record": f"panel:{i}", "expr": expr} for i, expr in enumerate(expressions())]
    file = tmp_path / "panels.json"  # what is JSON is YAML, too
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in check("check", "rules", str(file))


def test_prometheus_reads_alerts_and_configuration():
    check("check", "rules", "--lint-fatal", str(RULES))
    check("test", "rules", str(RULES.with_name("gleaner.test.yml")))
    check("check", "config", "--syntax-only", str(RULES.with_name("prometheus.yml")))
