"""Python types for types of the wire, if the original types of a task are not available."""

from __future__ import annotations

import dataclasses
import json
import types
from functools import lru_cache
from typing import Any, Optional

from flyte.types import _records

_SIMPLE = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None)}


def class_of(schema: dict[str, Any]) -> type:
    """A dataclass with the fields of a JSON schema; the same one for the same schema."""
    return _class_of(json.dumps(schema, sort_keys=True))


@lru_cache(maxsize=256)
def _class_of(text: str) -> type:
    schema = json.loads(text)
    classes = _Classes(schema.get("$defs", {}))
    if "$ref" in schema:
        made: type = classes.of_reference(schema["$ref"].rsplit("/", 1)[-1])
        return made
    return classes.of_object(schema)


class _Classes:
    """The classes of one schema and its definitions."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.made: dict[str, Any] = {}

    def of_object(self, schema: dict[str, Any]) -> type:
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        # Fields without a default come first, in their order.
        names = [name for name in required if name in properties]
        names += [name for name in properties if name not in required]
        fields: list[Any] = []
        for name in names:
            one = properties[name]
            hint = self.of(one)
            if "default" in one:
                fields.append((name, hint, _default(one["default"], hint)))
            elif name in required:
                fields.append((name, hint))
            else:
                fields.append((name, Optional[hint], dataclasses.field(default=None)))  # noqa: UP045
        title = str(schema.get("title", "Structure"))
        title = title if title.isidentifier() else "Structure"
        return dataclasses.make_dataclass(title, fields, kw_only=True)

    def of(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return Any
        if "$ref" in schema:
            return self.of_reference(schema["$ref"].rsplit("/", 1)[-1])
        marker = schema.get("x-flyte-type")
        if marker == "file" or (schema.get("title") == "File" and schema.get("required") == ["path"]):
            from flyte.io import File

            return File
        if marker == "dir" or (schema.get("title") == "Dir" and schema.get("required") == ["path"]):
            from flyte.io import Dir

            return Dir
        for key in ("anyOf", "oneOf"):
            if key in schema:
                union: Any = None
                for variant in schema[key]:
                    one = self.of(variant)
                    union = one if union is None else union | one
                return union
        if "enum" in schema or "const" in schema:
            return str if isinstance(schema.get("const", ""), str) else Any
        kind = schema.get("type")
        if kind == "array":
            return list[self.of(schema["items"])] if "items" in schema else list[Any]  # type: ignore[misc]
        if kind == "object":
            if schema.get("properties"):
                return self.of_object(schema)
            values = schema.get("additionalProperties")
            keys = self.of(schema["propertyNames"]) if "propertyNames" in schema else str
            return types.GenericAlias(dict, (keys, self.of(values) if isinstance(values, dict) else Any))
        if schema.get("format") == "base64":
            return bytes
        return _SIMPLE.get(kind, Any)  # type: ignore[arg-type]

    def of_reference(self, name: str) -> Any:
        if name not in self.made:
            # A reference to itself is left open.
            self.made[name] = Any
            self.made[name] = self.of(self.definitions.get(name, {}))
        return self.made[name]


def _default(value: Any, hint: Any) -> Any:
    def made() -> Any:
        try:
            return _records.from_plain(json.loads(json.dumps(value)), hint)
        except (TypeError, ValueError):
            return value

    return dataclasses.field(default_factory=made)
