"""Our statement of the API, as OpenAPI at ``/openapi.json`` and as a page to read at ``/docs``.

The document is written by hand and knows nothing of this sandbox's code: tests compare the two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

PATHS = ("/openapi.json", "/docs")
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "code{background:#f2f2f2;padding:.1em .3em;border-radius:3px}table{border-collapse:collapse;width:100%}"
    "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}h3{margin-top:2rem}"
)
Node = dict[str, Any]


def statement() -> Node:
    """Read the OpenAPI document."""
    document: Node = json.loads(Path(__file__).with_name("openapi.json").read_text())
    return document


def statement_app() -> Starlette:
    """Give the application for ``/openapi.json`` and ``/docs``; neither is limited or logged."""

    async def document(_: Request) -> Response:
        return JSONResponse(statement())

    async def page(_: Request) -> Response:
        return HTMLResponse(as_page(statement()))

    return Starlette(routes=[Route("/openapi.json", document), Route("/docs", page)])


def as_page(document: Node) -> str:
    """Write the document as one HTML page, which asks for nothing else: no script, no font, no other host."""
    info = document["info"]
    title = escape(info["title"])
    body = [f"<h1>{title}</h1><p>{escape(info['description'])}</p>"]
    for tag in document["tags"]:
        body.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>")
        for path, operations in document["paths"].items():
            operation = operations["get"]
            if tag["name"] in operation["tags"]:
                body += _operation(document, path, operation)
    body.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        body.append(f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>')
        body += _fields(schema)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _operation(document: Node, path: str, operation: Node) -> list[str]:
    about = f"{escape(operation['summary'])}. {escape(operation['description'])}"
    lines = [f"<h3><code>GET {escape(path)}</code></h3><p>{about}</p>"]
    parameters = [_resolved(document, parameter) for parameter in operation["parameters"]]
    asked = [(p["name"], p["in"], _kind(p["schema"]), escape(p["description"])) for p in parameters]
    if asked:
        lines.append(_table(("parameter", "in", "values", "meaning"), asked))
    answers = [(status, _resolved(document, answer)) for status, answer in operation["responses"].items()]
    answered = [(status, _content(answer), escape(answer["description"])) for status, answer in answers]
    return [*lines, _table(("status", "body", "meaning"), answered)]


def _fields(schema: Node) -> list[str]:
    needed = schema.get("required", [])
    rows = [
        (name, "always" if name in needed else "", _kind(field), escape(field.get("description", "")))
        for name, field in schema.get("properties", {}).items()
    ]
    return [_table(("field", "given", "values", "meaning"), rows)] if rows else [f"<p>{_kind(schema)}</p>"]


def _content(answer: Node) -> str:
    kinds = {_kind(content["schema"]): None for content in answer.get("content", {}).values()}
    return " or ".join(kinds) or "none"


def _kind(schema: Node) -> str:
    """Say in a few words which values a schema allows."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(_kind(part) for part in schema[several])
    if "enum" in schema:
        return " ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    named = schema.get("type", "object")
    text = " or ".join(named) if isinstance(named, list) else str(named)
    hints = [f"{name} {schema[name]}" for name in ("format", "minimum", "maximum", "default") if name in schema]
    return escape(", ".join([text, *hints]))


def _resolved(document: Node, node: Node) -> Node:
    """Follow a reference inside the document."""
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"
