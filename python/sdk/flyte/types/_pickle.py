"""Values of types that have no form on the wire: pickled, readable by the same Python alone."""

from __future__ import annotations

import base64
import hashlib
import logging
import pickle
import sys
from typing import Any

from flyte._context import surroundings
from flyte.types import _hints
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import Literal, LiteralType, TypeTransformer, binary_of

_FORMAT = "PythonPickle"
# Values of more bytes than this, by Python's count, become a separate file.
_INLINE = 10 * 1024
_warned: set[str] = set()


def dumps(value: Any) -> bytes:
    """The pickled value; with cloudpickle, if it is installed, it includes functions and classes of a script.

    Raises TypeTransformerFailedError if it cannot be pickled.
    """
    try:
        try:
            import cloudpickle
        except ImportError:
            return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        return bytes(cloudpickle.dumps(value))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeTransformerFailedError(
            f"a value of type {type(value).__name__} cannot be pickled: {error}"
        ) from error


def loads(data: bytes) -> Any:
    """Loads the value. Only for data of the user's own run, because reading a pickle executes code."""
    return pickle.loads(data)


async def read_pickle(uri: str) -> Any:
    """The value pickled in a file."""
    from flyte import storage

    return loads(await storage.read(uri))


class Pickled:
    """A pickled value of a run, as it came: `load()` makes the value of it.

    Loading executes code from the pickle on this machine, with your rights: load it only if you trust the run.
    It is passed to tasks unchanged.
    """

    def __init__(self, literal: Literal) -> None:
        self._literal = literal

    def load(self) -> Any:
        """The value. Runs what is in the pickle; only for runs whose code and authors you trust.

        Raises any error of loading, for example if a module is missing or another Python version wrote it.
        """
        uri = self._uri
        if not uri:
            return loads(binary_of(self._literal) or b"")
        from flyte import storage

        return loads(storage.read_sync(uri))

    @property
    def _uri(self) -> str:
        return str(self._literal.get("scalar", {}).get("blob", {}).get("uri", ""))

    def __repr__(self) -> str:
        if self._uri:
            from flyte import storage

            where = f"at {storage.shown(self._uri)}"
        else:
            where = f"of {len(binary_of(self._literal) or b'')} bytes"
        return f"<a pickled value {where}, not loaded: .load() executes its code, so call it only if you trust the run>"


class FlytePickle:
    """Any Python value of unknown type."""


class FlytePickleTransformer(TypeTransformer[Any]):
    """Whatever no other transformer takes."""

    def __init__(self) -> None:
        super().__init__("FlytePickle", FlytePickle)

    def assert_type(self, t: Any, v: Any) -> None:
        """Everything may be pickled."""

    def get_literal_type(self, t: Any) -> LiteralType:
        name = str(t)
        if name not in _warned and t is not FlytePickle:
            _warned.add(name)
            logging.getLogger("flyte").warning(
                "Values of type %s are pickled: only the same version of Python reads them. Give the type of the value, or use a "
                "dataclass.",
                _hints.name(t),
            )
        structure = {"tag": self.name}
        variants = [
            {"blob": {"format": _FORMAT}, "structure": structure},
            {"simple": "BINARY", "structure": structure},
        ]
        return {"unionType": {"variants": variants}, "metadata": {"python_class_name": name}}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        if isinstance(python_val, Pickled):
            return python_val._literal
        if python_val is None:
            raise TypeTransformerFailedError("None has a type of its own: use Optional[...]")
        data = dumps(python_val)
        literal: Literal
        if sys.getsizeof(python_val) > _INLINE:
            from flyte import storage

            uri = await storage.put_new(data, hashlib.md5(data, usedforsecurity=False).hexdigest())
            literal = {"scalar": {"blob": {"metadata": {"type": {"format": _FORMAT}}, "uri": uri}}}
        else:
            literal = {"scalar": {"binary": {"value": base64.b64encode(data).decode()}}}
        if isinstance(python_val, (set, frozenset)):
            try:
                # Sets are pickled in an order that differs from process to process.
                content = dumps(sorted(python_val))
            except TypeError:
                return literal
            literal["hash"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return literal

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        uri = lv.get("scalar", {}).get("blob", {}).get("uri")
        data = None if uri else binary_of(lv)
        if not uri and (data is None or lv["scalar"]["binary"].get("tag")):
            raise TypeTransformerFailedError(f"a pickled value was expected, not {lv}")
        if surroundings().foreign:
            return Pickled(lv)
        return loads(data) if data is not None else await read_pickle(uri)

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if literal_type.get("simple") == "BINARY" or literal_type.get("blob", {}).get("format") == _FORMAT:
            return FlytePickle
        variants = literal_type.get("unionType", {}).get("variants", [])
        if variants and all(one.get("structure", {}).get("tag") == self.name for one in variants):
            return FlytePickle
        raise ValueError(f"{literal_type} is not pickled")
