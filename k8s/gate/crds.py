"""Operators' own kinds against the schemas and rules that their definitions in Kubernetes carry.

As the API server does it: fields that are missing get their defaults, then the OpenAPI schema
decides, unknown fields being mistakes, then the rules in CEL. Rules on changes (`oldSelf`) need a
manifest that is there already, and are left out.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cel
import yaml
from jsonschema import Draft202012Validator

from k8s.gate.manifests import Manifest, title
from k8s.gate.problem import Problem

Schema = dict[str, Any]


def check(manifests: list[Manifest], definitions: Path) -> Iterator[Problem]:
    """What the API server would refuse; definitions: folder with KubeRay's ray.io_*.yaml.

    Definitions of other groups that lie there are gone by as well.
    """
    everything = _known(definitions)
    groups = {version.partition("/")[0] for version, _ in everything}
    for manifest in manifests:
        version = manifest.get("apiVersion", "")
        if version.partition("/")[0] in groups:
            known = everything.get((version, manifest.get("kind", "")))
            if known is None:
                yield Problem(title(manifest), "", f"{version} has no such kind")
            else:
                yield from _problems(manifest, *known)


def _problems(
    manifest: Manifest, schema: Schema, validator: Draft202012Validator
) -> Iterator[Problem]:
    filled = _with_defaults(manifest, schema)
    name = title(manifest)
    errors = sorted(validator.iter_errors(filled), key=str)
    for error in errors:
        yield Problem(name, ".".join(str(part) for part in error.absolute_path), error.message)
    if not errors:
        yield from _broken_rules(filled, schema, name, "")


@cache
def _known(definitions: Path) -> dict[tuple[str, str], tuple[Schema, Draft202012Validator]]:
    """The schema of every version and kind, as it is written and as it decides."""
    found = {}
    for path in sorted(definitions.glob("*.*_*.yaml")):
        spec = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            schema = version["schema"]["openAPIV3Schema"]
            found[key] = schema, Draft202012Validator(_closed(schema))
    if not found:
        raise FileNotFoundError(f"{definitions} holds no ray.io_*.yaml")
    return found


def _with_defaults(value: Any, schema: Schema) -> Any:
    """The value with what it lacks; a null where there is a default counts as lacking."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = {
            name: each["default"]
            for name, each in known.items()
            if "default" in each and value.get(name) is None
        }
        others = schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        return {
            name: _with_defaults(each, known.get(name, others))
            for name, each in (value | missing).items()
        }
    if isinstance(value, list):
        return [_with_defaults(each, schema.get("items", {})) for each in value]
    return value


def _closed(schema: Any) -> Any:
    """The schema with unknown fields forbidden, and Kubernetes' own words translated."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {name: _closed(each) for name, each in schema.items() if name != "properties"}
    if "properties" in schema:
        # Their names are no words of a schema. Of metadata, nothing but its type is said.
        closed["properties"] = {name: _closed(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    return closed


def _broken_rules(value: Any, schema: Schema, name: str, place: str) -> Iterator[Problem]:
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"] and not cel.evaluate(rule["rule"], {"self": value}):
            yield Problem(name, place, rule.get("message", rule["rule"]))
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key, each in value.items():
            inner = schema.get("properties", {}).get(key, others)
            if isinstance(inner, dict):
                yield from _broken_rules(each, inner, name, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _broken_rules(each, schema.get("items", {}), name, f"{place}.{number}")
