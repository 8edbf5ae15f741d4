"""The registry in OpenAPI's words: what the HTTP API says of each task's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from menos_bus.doors.idempotency import KEY_HEADER
from menos_bus.tasks.contract import DELIVERY
from menos_bus.tasks.envelope import Envelope
from menos_bus.tasks.register import TaskSpec
from menos_bus.tasks.schema import RESERVED_SCHEMAS

RESERVED: Final[dict[str, dict[str, Any]]] = {
    name: {**schema, "type": [schema["type"], "null"]} for name, schema in RESERVED_SCHEMAS.items()
}
"""What every task takes besides its own parameters; ``null`` is as good as nothing."""

_NAMED: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
"""Keywords whose keys are names of the caller's, not keywords."""
_VALUES: Final = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords that hold values, in which nothing is a keyword."""
_SAMPLES: Final[dict[str, Any]] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}
_DEPTH: Final = 4


def body_of(spec: TaskSpec | None) -> dict[str, Any]:
    """The ``requestBody`` of a task's endpoint.

    Args:
        spec: the task; ``None`` for one that only another host has, whose parameters are not
            known here.
    """
    if spec is None:
        schema: dict[str, Any] = {"type": "object", "properties": dict(RESERVED)}
        return {"required": False, "content": {"application/json": {"schema": schema}}}
    schema = inlined(spec.signature.parameters_schema)
    own = schema.get("properties", {})
    required = spec.signature.required_reserved
    more = {name: told for name, told in RESERVED.items() if name not in required}
    schema["properties"] = {**own, **more}
    if told := own.get("priority", {}).get("description"):
        # The bus checks it as for every task; what it is good for, the task knows better.
        schema["properties"]["priority"] = {**RESERVED["priority"], "description": told}
    schema["title"] = spec.name
    content: dict[str, Any] = {"schema": schema}
    if (example := example_of(spec)) is not None:
        content["example"] = example
    return {"required": "required" in schema, "content": {"application/json": content}}


def parameters_of_delivery() -> list[dict[str, Any]]:
    """The query parameters and the header that every submission takes."""
    known = Envelope.model_json_schema()["properties"]
    found: list[dict[str, Any]] = []
    for name in DELIVERY:
        kinds = [kind for kind in known[name]["anyOf"] if kind != {"type": "null"}]
        schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        told = {"description": known[name]["description"], "required": False, "schema": schema}
        found.append({"name": name, "in": "query", **told})
    schema = {"type": "string", "minLength": 1, "maxLength": 255}
    told = {"description": "The reserved argument `idempotency_key`.", "schema": schema}
    found.append({"name": KEY_HEADER, "in": "header", "required": False, **told})
    return found


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without ``$defs``: in an OpenAPI document its references would lead nowhere.

    A type that contains itself is told once; inside itself it is anything.
    """
    found = _inline(schema, schema.get("$defs", {}), ())
    assert isinstance(found, dict)
    return found


def _inline(node: Any, known: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(item, known, inside) for item in node]
    if not isinstance(node, Mapping):
        return node
    found: dict[str, Any] = {}
    if isinstance(reference := node.get("$ref"), str):
        name = reference.rpartition("/")[2]
        if name not in inside:
            found.update(_inline(known[name], known, (*inside, name)))
    for key, value in node.items():
        if key in ("$ref", "$defs", "discriminator"):
            continue
        if key == "oneOf":
            # Types that are told apart by a field are to a reader what others are.
            key = "anyOf"
        if key in _NAMED:
            found[key] = {name: _inline(item, known, inside) for name, item in value.items()}
        else:
            found[key] = value if key in _VALUES else _inline(value, known, inside)
    return found


def example_of(spec: TaskSpec) -> dict[str, Any] | None:
    """Arguments that the task takes, or ``None`` where its schema does not tell enough."""
    schema = inlined(spec.signature.parameters_schema)
    fields = schema.get("properties", {})
    shown = {
        name: _sample(field, name)
        for name, field in fields.items()
        if name in schema.get("required", ()) or field.get("examples")
    }
    try:
        spec.signature.validate(shown)
    except Exception:  # noqa: BLE001 - a validator of a plugin's own may raise anything
        return None
    return shown


def _sample(schema: Any, name: str = "", depth: int = 0) -> Any:
    """A value that fits, as far as a glance at its schema tells."""
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return None
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "allOf"):
        if schema.get(key):
            return _sample(schema[key][0], name, depth + 1)
    kind = schema.get("type")
    if kind == "string":
        text = name.replace("_", " ") or "text"
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", _SAMPLES[kind]))
    if kind == "array":
        return [_sample(schema.get("items"), "", depth + 1)] * schema.get("minItems", 0)
    if kind == "object":
        fields = schema.get("properties", {})
        return {key: _sample(fields[key], key, depth + 1) for key in schema.get("required", ())}
    return _SAMPLES.get(str(kind))
