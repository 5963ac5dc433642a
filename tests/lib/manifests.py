"""Kubernetes manifests, read as the API server would: every field must be one of its type. The types are those of Debian's
python3-kubernetes, which is older than some fields that are named here."""

import re

import jsonschema
import pytest
import yaml

client = pytest.importorskip("kubernetes.client", reason="python3-kubernetes is not installed")

NEWER = {"V1PodSpec": {"hostUsers": "bool"}}  # Kubernetes 1.33


def fields(required, **others):
    """An object that has nothing else."""
    return {"type": "object", "properties": {**required, **others}, "required": list(required), "additionalProperties": False}


TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
POLICY = fields({"type": {"enum": ["Pods", "Percent"]}, "value": {"type": "integer", "minimum": 1}, "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800}})
RULES = fields({}, stabilizationWindowSeconds={**COUNT, "maximum": 3600}, selectPolicy=TEXT, policies={"type": "array", "items": POLICY, "minItems": 1})
# What KEDA's own definition of the kind lets in, without the parts that we have no use for.
CUSTOM = {("keda.sh/v1alpha1", "ScaledObject"): fields({
    "apiVersion": TEXT, "kind": TEXT,
    "metadata": fields({"name": TEXT}, namespace=TEXT),
    "spec": fields(
        {"scaleTargetRef": fields({"name": TEXT}, apiVersion=TEXT, kind=TEXT, envSourceContainerName=TEXT),
         "triggers": {"type": "array", "minItems": 1, "items": fields(
             {"type": {"const": "prometheus"},
              "metadata": fields({"serverAddress": TEXT, "query": TEXT, "threshold": {"type": "string", "pattern": r"^[\d.]+$"}}, ignoreNullValues=TEXT, namespace=TEXT)},
             name=TEXT, authenticationRef=fields({"name": TEXT}))}},
        minReplicaCount=COUNT, maxReplicaCount=COUNT, pollingInterval=COUNT, cooldownPeriod=COUNT,
        advanced=fields({}, restoreToOriginalReplicaCount={"type": "boolean"},
                        horizontalPodAutoscalerConfig=fields({}, behavior=fields({}, scaleUp=RULES, scaleDown=RULES))))})}


def model_of(document):
    group, _, version = document["apiVersion"].rpartition("/")
    prefix = "" if group in ("", "apps", "policy", "networking.k8s.io") else None
    assert prefix is not None, document["apiVersion"]
    return getattr(client, version.capitalize() + document["kind"])


def check(value, kind, where):
    """Fails with the place of what does not fit."""
    if kind.startswith("list["):
        assert isinstance(value, list), where
        for at, item in enumerate(value):
            check(item, kind[5:-1], f"{where}[{at}]")
    elif kind.startswith("dict("):
        assert isinstance(value, dict), where
        for key, item in value.items():
            check(item, re.match(r"dict\(str, (.*)\)", kind).group(1), f"{where}.{key}")
    elif kind == "object" or kind == "datetime":
        pass
    elif kind in ("str", "int", "bool", "float"):
        assert type(value).__name__ == kind, f"{where}: {value!r} is no {kind}"
    else:
        model = getattr(client, kind)
        names = {name: attribute for attribute, name in model.attribute_map.items()}
        assert isinstance(value, dict), where
        given = {}
        for name, item in value.items():
            if name in NEWER.get(kind, ()):
                check(item, NEWER[kind][name], f"{where}.{name}")
                continue
            assert name in names, f"{where}: {kind} has no {name}"
            check(item, model.openapi_types[names[name]], f"{where}.{name}")
            given[names[name]] = item
        model(**given)  # refuses what lacks a required field


def read(folder):
    """All documents of a folder, checked, without those of kustomize."""
    documents = []
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "Kustomization":
                continue
            custom = CUSTOM.get((document["apiVersion"], document["kind"]))
            if custom:
                jsonschema.validate(document, custom)
            else:
                check(document, model_of(document).__name__, f"{path.name}: {document['metadata']['name']}")
            documents.append(document)
    return documents
