"""Lists, dictionaries and unions."""

from __future__ import annotations

import functools
import operator
import typing
from typing import Any

from flyte.types import _hints, _records
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import (
    STRUCT_ANNOTATION,
    Literal,
    LiteralType,
    TypeTransformer,
    packed,
    unpacked,
)


def _engine() -> Any:
    from flyte.types._engine import TypeEngine

    return TypeEngine


class ListTransformer(TypeTransformer[list[Any]]):
    """Lists of one type."""

    def __init__(self) -> None:
        super().__init__("Typed List", list)

    @staticmethod
    def element(t: Any) -> Any:
        """The type of the elements."""
        arguments = typing.get_args(_hints.bare(t))
        if not arguments:
            raise TypeTransformerFailedError("a list needs the type of its elements: list[int], not list")
        return arguments[0]

    def get_literal_type(self, t: Any) -> LiteralType:
        return {"collectionType": _engine().to_literal_type(self.element(t))}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        if not isinstance(python_val, list):
            raise TypeTransformerFailedError(f"expected a list, got {python_val!r}")
        element = self.element(python_type)
        inner = expected.get("collectionType", {})
        literals = []
        for index, value in enumerate(python_val):
            try:
                literals.append(await _engine().to_literal(value, element, inner))
            except TypeTransformerFailedError as error:
                raise TypeTransformerFailedError(f"element {index}: {error}") from error
        return {"collection": {"literals": literals} if literals else {}}

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        if "binary" in lv.get("scalar", {}):
            return _records.from_plain(unpacked(lv), expected_python_type)
        if "collection" not in lv:
            raise TypeTransformerFailedError(f"a list was expected, not {lv}")
        element = self.element(expected_python_type)
        return [await _engine().to_python_value(one, element) for one in lv["collection"].get("literals", [])]

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if "collectionType" in literal_type:
            return list[_engine().guess_python_type(literal_type["collectionType"])]  # type: ignore[misc]
        raise ValueError(f"{literal_type} is not a list")


class DictTransformer(TypeTransformer[dict[Any, Any]]):
    """Dictionaries: with texts as keys and values of one type as a map, all others as a structure."""

    def __init__(self) -> None:
        super().__init__("Typed Dict", dict)

    @staticmethod
    def parts(t: Any) -> tuple[Any, Any] | None:
        """The types of keys and values, or None if they are unknown."""
        arguments = typing.get_args(_hints.bare(t))
        return (arguments[0], arguments[1]) if arguments else None

    def get_literal_type(self, t: Any) -> LiteralType:
        parts = self.parts(t)
        if parts and parts[0] is str:
            return {"mapValueType": _engine().to_literal_type(parts[1])}
        return {"simple": "STRUCT", "annotation": STRUCT_ANNOTATION}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        if type(python_val) is not dict:
            raise TypeTransformerFailedError(f"expected a dict, got {python_val!r}")
        parts = self.parts(python_type)
        if parts is None or parts[0] is not str:
            try:
                return packed(_records.to_plain(python_val, _hints.bare(python_type)))
            except (TypeError, OverflowError) as error:
                raise TypeTransformerFailedError(
                    f"the dict has a value that cannot travel: {error}"
                ) from error
        inner = expected.get("mapValueType", {})
        literals = {}
        for key, value in python_val.items():
            if type(key) is not str:
                raise TypeTransformerFailedError(f"the key {key!r} is not a text")
            try:
                literals[key] = await _engine().to_literal(value, parts[1], inner)
            except TypeTransformerFailedError as error:
                raise TypeTransformerFailedError(f"key {key!r}: {error}") from error
        return {"map": {"literals": literals} if literals else {}}

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        scalar = lv.get("scalar", {})
        if "generic" in scalar and lv.get("metadata", {}).get("format") == "pickle":
            from flyte._context import surroundings
            from flyte.types._pickle import read_pickle

            here = surroundings()
            if here.task is None or here.foreign:
                raise TypeTransformerFailedError("a pickled dict is read in a task of its run alone")
            return await read_pickle(scalar["generic"]["pickle_file"])
        if "binary" in scalar or "generic" in scalar:
            return _records.from_plain(unpacked(lv), expected_python_type)
        if "map" not in lv:
            raise TypeTransformerFailedError(f"a dict was expected, not {lv}")
        parts = self.parts(expected_python_type)
        if parts is None or parts[0] is not str:
            raise TypeTransformerFailedError(
                f"a dict with texts as keys came, {_hints.name(expected_python_type)} was expected"
            )
        literals = lv["map"].get("literals", {})
        return {key: await _engine().to_python_value(value, parts[1]) for key, value in literals.items()}

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if "mapValueType" in literal_type:
            return dict[str, _engine().guess_python_type(literal_type["mapValueType"])]  # type: ignore[misc]
        if literal_type.get("simple") == "STRUCT" and "metadata" not in literal_type:
            return dict
        raise ValueError(f"{literal_type} is not a dict")


class UnionTransformer(TypeTransformer[Any]):
    """`Union[...]` and `Optional[...]`: the value with the type that it has, tagged with who wrote it."""

    def __init__(self) -> None:
        super().__init__("Typed Union", typing.Union)

    def assert_type(self, t: Any, v: Any) -> None:
        variants = typing.get_args(_hints.bare(t))
        for variant in variants:
            if variant is Any:
                return
            transformer = _engine().get_transformer(variant)
            try:
                if transformer.type_assertions_enabled:
                    transformer.assert_type(variant, v)
                return
            except TypeError:
                continue
        raise TypeTransformerFailedError(f"{v!r} is none of {', '.join(map(_hints.name, variants))}")

    def get_literal_type(self, t: Any) -> LiteralType:
        return {"unionType": {"variants": [_tagged(one) for one in typing.get_args(_hints.bare(t))]}}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        variants = typing.get_args(_hints.bare(python_type))
        inferred = type(python_val)
        if inferred in variants:
            return await self._written(python_val, inferred, expected, variants.index(inferred))
        found: list[tuple[Any, Literal]] = []
        reasons = []
        for index, variant in enumerate(variants):
            try:
                found.append((variant, await self._written(python_val, variant, expected, index)))
            except Exception as error:  # any variant may refuse in its own way
                reasons.append(f"{_hints.name(variant)}: {error}")
        if len(found) > 1:
            raise TypeTransformerFailedError(
                f"{python_val!r} fits more than one of the union: {', '.join(_hints.name(one) for one, _ in found)}"
            )
        if not found:
            raise TypeTransformerFailedError(f"{python_val!r} fits none of the union ({'; '.join(reasons)})")
        return found[0][1]

    async def _written(self, value: Any, variant: Any, expected: LiteralType, index: int) -> Literal:
        transformer = _engine().get_transformer(variant)
        variants = expected.get("unionType", {}).get("variants", [])
        inner = variants[index] if index < len(variants) else _engine().to_literal_type(variant)
        literal = await transformer.to_literal(value, variant, inner)
        tagged = {**transformer.get_literal_type(variant), "structure": {"tag": transformer.name}}
        return {"scalar": {"union": {"value": literal, "type": tagged}}}

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        variants = typing.get_args(_hints.bare(expected_python_type))
        union = lv.get("scalar", {}).get("union")
        if union is None:
            return await self._first(lv, [(variant, False) for variant in variants])
        written = union.get("type", {})
        tag = written.get("structure", {}).get("tag")
        own = [(variant, _tagged(variant)) for variant in variants]
        fitting = [
            (variant, one)
            for variant, one in own
            if _essence(one) == _essence(written) or _castable(written, one)
        ]
        # If no candidate is the type that wrote it, for example for types from the wire, use any that fits.
        tagged = [(variant, one) for variant, one in fitting if tag in (None, one["structure"]["tag"])]
        candidates = [(variant, one == written) for variant, one in tagged or fitting]
        return await self._first(union.get("value", {}), candidates)

    async def _first(self, literal: Literal, candidates: list[tuple[Any, bool]]) -> Any:
        """The value as the candidate that fits; if several fit, as the one with exactly the written type."""
        found: list[tuple[Any, bool, Any]] = []
        reasons = []
        for variant, exact in candidates:
            transformer = _engine().get_transformer(variant)
            try:
                found.append((variant, exact, await transformer.to_python_value(literal, variant)))
            except Exception as error:  # any variant may refuse in its own way
                reasons.append(f"{_hints.name(variant)}: {error}")
        exact_ones = [one for one in found if one[1]]
        if len(found) == 1 or len(exact_ones) == 1:
            return (exact_ones or found)[0][2]
        if found:
            names = ", ".join(_hints.name(one[0]) for one in found)
            raise TypeTransformerFailedError(f"the value fits more than one of the union: {names}")
        raise TypeTransformerFailedError(f"{literal} fits none of the union ({'; '.join(reasons)})")

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if "unionType" in literal_type:
            variants = literal_type["unionType"].get("variants", [])
            return functools.reduce(operator.or_, map(_engine().guess_python_type, variants))
        raise ValueError(f"{literal_type} is not a union")


def _tagged(variant: Any) -> LiteralType:
    transformer = _engine().get_transformer(variant)
    return {**_engine().to_literal_type(variant), "structure": {"tag": transformer.name}}


def _essence(literal_type: LiteralType) -> LiteralType:
    """The type without what only describes it."""
    described = ("metadata", "structure", "annotation")
    return {key: value for key, value in literal_type.items() if key not in described}


def _castable(written: LiteralType, wanted: LiteralType) -> bool:
    """Whether values of one type can be read as the other."""
    for key in ("collectionType", "mapValueType"):
        if key in written:
            return key in wanted and _castable(written[key], wanted[key])
    if "unionType" in written:
        variants = written["unionType"].get("variants", [])
        return all(_castable(variant, wanted) for variant in variants)
    if "unionType" in wanted:
        return any(_castable(written, variant) for variant in wanted["unionType"].get("variants", []))
    if "enumType" in written:
        return "enumType" in wanted or wanted.get("simple") == "STRING"
    if "blob" in written:
        single = "SINGLE"
        return "blob" in wanted and written["blob"].get("dimensionality", single) == wanted["blob"].get(
            "dimensionality", single
        )
    return _essence(written) == _essence(wanted)
