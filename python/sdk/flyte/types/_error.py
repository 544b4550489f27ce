"""What a value that does not fit its type ends in."""

from __future__ import annotations


class TypeTransformerFailedError(TypeError, AssertionError, ValueError):
    """A value does not fit its type, or a type cannot travel. The message says which and why."""
