"""Files and directories as inputs and outputs of tasks: references to stored data, read and written where they are."""

from __future__ import annotations

from flyte.io._dir import Dir
from flyte.io._file import File

__all__ = ["Dir", "File"]
