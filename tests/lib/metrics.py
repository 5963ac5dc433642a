"""What /metrics says, read by Prometheus' own parsers."""

import shutil
import subprocess

import pytest

OPEN = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

parse_text = pytest.importorskip("prometheus_client.parser", reason="metrics are read by python3-prometheus-client")
parse_open = pytest.importorskip("prometheus_client.openmetrics.parser", reason="likewise")


class Scrape:
    """Samples by name and labels: scrape ("gleaner_jobs", state="pending")."""

    def __init__(self, client, open=True):
        answer = client.get("/metrics", Accept=OPEN) if open else client.get("/metrics")
        assert answer.status == 200, answer
        self.headers, self.body = answer.headers, answer.body
        parse = (parse_open if open else parse_text).text_string_to_metric_families
        self.families = list(parse(answer.body.decode()))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} stands there twice"
                self.samples[key] = sample.value

    def __call__(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())), 0)

    def names(self):
        return {name for name, _ in self.samples}

    def labels(self, name):
        return [dict(labels) for of, labels in self.samples if of == name]


def promtool():
    """The path of Prometheus' own checker; skips the test where there is none."""
    return shutil.which("promtool") or pytest.skip("there is no promtool here: it comes with the package prometheus")


def check(*args, data=None):
    done = subprocess.run([promtool(), *args], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, (args, done.stdout, done.stderr)
    return done.stdout.decode()
