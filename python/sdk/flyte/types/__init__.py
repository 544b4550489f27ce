"""The types of tasks' inputs and outputs, and how to teach it your own.

Numbers, texts, times, enums, lists, dictionaries, `Optional`, `Union`, `Literal`, dataclasses, pydantic models, tuples,
`flyte.io.File` and `flyte.io.Dir` travel in forms that any client reads. Whatever else is pickled,
and stays a `Pickled` if it comes from another user's run.
"""

from __future__ import annotations

from flyte.types._engine import TypeEngine
from flyte.types._error import TypeTransformerFailedError
from flyte.types._pickle import FlytePickle, Pickled
from flyte.types._transformer import TypeTransformer

__all__ = ["FlytePickle", "Pickled", "TypeEngine", "TypeTransformer", "TypeTransformerFailedError"]
