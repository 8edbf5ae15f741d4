"""The parameters of a task as a person is shown them, read from their JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

from menos_bus.doors.openapi import inlined
from menos_bus.tasks.register import TaskSpec


def takes(schema: dict[str, Any], kind: str) -> bool:
    """Whether a parameter takes values of this JSON type."""
    options = schema.get("anyOf", [schema])
    return any(option.get("type") == kind for option in options)


def of(spec: TaskSpec) -> dict[str, dict[str, Any]]:
    """The schemas of a task's parameters, with those that they refer to in their place."""
    found: dict[str, dict[str, Any]] = inlined(spec.signature.parameters_schema)["properties"]
    return found


def type_of(schema: dict[str, Any]) -> str:
    """A parameter's type in a few words; the values themselves where only some are allowed."""
    if "anyOf" in schema:
        kinds = [type_of(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return "|".join(kinds)
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if properties := schema.get("properties"):
        required = schema.get("required", [])
        fields = [
            f"{name}{'' if name in required else '?'}: {type_of(part)}"
            for name, part in properties.items()
        ]
        return f"{{{', '.join(fields)}}}"
    return str(schema.get("type", "json"))


def description(schema: dict[str, Any]) -> str:
    """The description of a parameter, also where only one of its types has it."""
    found = (part.get("description") for part in (schema, *schema.get("anyOf", [])))
    return next((str(text) for text in found if text), "")


def described(schema: dict[str, Any], *, required: bool) -> str:
    """The same, and whether it is required or what it is by default."""
    said = description(schema)
    if required:
        return f"{said}  [required]".strip()
    if schema.get("default") is not None:
        return f"{said}  [default: {json.dumps(schema['default'])}]".strip()
    return said
