"""The HTTP API's description as a page: plain HTML, without scripts or anything from elsewhere.

The usual viewers load a script from a content network into the page where the password is typed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_CODE: Final = re.compile("`([^`]+)`")
HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

_HEAD: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }}
summary {{ cursor: pointer; padding: .3rem 0 }} code, pre {{ font-size: .9em }}
pre {{ background: #8882; padding: .6rem; overflow-x: auto }} td, th {{ text-align: left;
vertical-align: top; padding: .2rem 1rem .2rem 0 }} .told {{ white-space: pre-line }}
:root {{ color-scheme: light dark }}
</style>
<h1>{title}</h1><p>{description}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
"""


def page(document: Mapping[str, Any], url: str) -> str:
    """The page.

    Args:
        document: the OpenAPI document.
        url: where the API is, for the lines to paste.
    """
    info = document["info"]
    parts = [_HEAD.format(title=escape(info["title"]), description=escape(info["description"]))]
    last = ""
    for tag, path, method, operation in sorted(_operations(document)):
        if tag != last:
            parts.append(f"<h2>{escape(tag)}</h2>")
            last = tag
        parts.append(
            f"<details><summary><code>{method.upper()} {escape(path)}</code> "
            f"{_text(operation['summary'])}</summary>"
            f'<p class="told">{_text(operation.get("description", ""))}</p>'
            f"{_table(operation)}<pre>{escape(_command(url, path, method, operation))}</pre>"
            "</details>"
        )
    return "".join(parts)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield operation["tags"][0], path, method, operation


def _table(operation: Mapping[str, Any]) -> str:
    body = _body(operation).get("schema", {})
    rows = [
        (name, "body", field, name in body.get("required", ()))
        for name, field in body.get("properties", {}).items()
    ]
    rows += [
        (told["name"], told["in"], {**told["schema"], **told}, told["required"])
        for told in operation.get("parameters", ())
    ]
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{where}<td>{escape(_type(field))}"
        f"<td>{'required' if required else ''}<td>{_text(field.get('description', ''))}"
        for name, where, field, required in rows
    )
    return f"<table><tr><th>name<th>in<th>type<th><th>{cells}</table>" if rows else ""


def _text(told: str) -> str:
    """What is between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(told))


def _type(field: Mapping[str, Any]) -> str:
    kinds = field.get("anyOf", [field])
    names = [
        f"object with {', '.join(kind['properties'])}"
        if kind.get("properties")
        else kind.get("type", kind.get("enum", "any"))
        for kind in kinds
    ]
    flat = [part for name in names for part in (name if isinstance(name, list) else [name])]
    return " or ".join(str(name) for name in dict.fromkeys(flat) if name != "null")


def _body(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    found: Mapping[str, Any] = content.get("application/json", {})
    return found


def _command(url: str, path: str, method: str, operation: Mapping[str, Any]) -> str:
    line = ["curl"]
    if operation.get("security"):
        line += ["-H", "Authorization: Bearer PASSWORD"]
    line.append(url + path.replace("{task_id}", "TASK_ID"))
    if method == "post":
        line += ["-d", json.dumps(_body(operation).get("example", {}))]
    return shlex.join(line)
