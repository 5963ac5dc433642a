"""The gateway's description of itself, held against what it answers.

The document promises less than a test wants to know: a client must pass over fields that it does not know. Here an answer
with a field that the document does not tell is a fault.
"""

import copy
import functools
import json
import re
import subprocess

import jsonschema

from built import BIN

METHODS = ("get", "post", "put", "delete")


def document():
    done = subprocess.run([BIN / "gleaner-api", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Api:
    def __init__(self, doc=None):
        self.doc = doc or document()
        self.operations = {(method.upper(), path): call for path, item in self.doc["paths"].items() for method, call in item.items()
                           if method in METHODS}
        self.patterns = [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in self.doc["paths"]]
        self.validators = {}

    def resolve(self, thing):
        while "$ref" in thing and thing["$ref"].startswith("#/") and len(thing) == 1:
            thing = functools.reduce(lambda at, key: at[key], thing["$ref"][2:].split("/"), self.doc)
        return thing

    def path_of(self, target):
        """The document's path for a request's target; None when it tells of none."""
        path = target.split("?")[0]
        return next((name for pattern, name in self.patterns if pattern.fullmatch(path)), None)

    def closed(self, schema):
        """The schema with everything that it refers to in its place, and with nothing beyond what it names."""
        schema = copy.deepcopy(self.resolve(schema))
        if "properties" in schema:
            schema["properties"] = {name: self.closed(one) for name, one in schema["properties"].items()}
        for part in map(self.closed, schema.pop("allOf", ())):
            own = schema.setdefault("properties", {})
            for name, one in part["properties"].items():
                own[name] = {**own.get(name, {}), **one}
            schema["required"] = schema.get("required", []) + part.get("required", [])
            schema["type"] = "object"
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        if "items" in schema:
            schema["items"] = self.closed(schema["items"])
        return schema

    def response(self, method, path, status):
        responses = self.operations[method, path]["responses"]
        assert str(status) in responses, f"{method} {path} answers {status}, which the document does not tell; it tells {sorted(responses)}"
        return self.resolve(responses[str(status)])

    def validator(self, key, schema):
        if key not in self.validators:
            self.validators[key] = jsonschema.Draft202012Validator(self.closed(schema))
        return self.validators[key]

    def hold(self, key, schema, value):
        fault = jsonschema.exceptions.best_match(self.validator(key, schema).iter_errors(value))
        assert fault is None, f"{key}: at {'/'.join(map(str, fault.absolute_path))}: {fault.message[:600]}"

    def check(self, method, target, status, headers, body):
        """An answer is one of those that the document tells. What it tells nothing of is passed over: pages, other methods."""
        path = self.path_of(target)
        head = method == "HEAD"
        method = "GET" if head else method
        if (method, path) not in self.operations:
            return
        content = self.response(method, path, status).get("content", {})
        kind = (headers["Content-Type"] or "").split(";")[0].strip()
        if not content:
            assert not body, f"{method} {path} answers {status} with a body, which the document does not tell"
            return
        assert kind in content, f"{method} {path} answers {status} as {kind!r}, which the document does not tell; it tells {sorted(content)}"
        if kind == "application/json" and not head:
            self.hold((method, path, status), content[kind]["schema"], json.loads(body))
        if kind == "text/event-stream" and not head:
            self.check_events(path, content[kind]["schema"], body)

    def check_events(self, path, schema, body):
        data = schema.get("x-event-data")
        for event in body.decode().split("\n\n") if data else ():
            fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line and not line.startswith(":"))
            if fields.get("event") in ("job", "output", "worker"):
                self.hold((path, "event"), data, json.loads(fields["data"]))


@functools.lru_cache(None)
def api():
    return Api()


def saw(method, target, status, headers, body):
    """client.py calls this for every answer when GLEANER_CHECK_API is set."""
    api().check(method, target, status, headers, body)
