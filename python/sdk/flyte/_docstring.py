"""What a function's docstring says: about the function, and about each of its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_GOOGLE = re.compile(
    r"^(Args|Arguments|Parameters|Params|Returns|Return|Yields|Raises|Examples?|Notes?|Attributes)\s*:\s*$"
)
_NUMPY = re.compile(r"^(Parameters|Returns|Yields|Raises|Examples?|Notes?|Attributes)\s*$")
_SPHINX = re.compile(r"^:(param|parameter|arg|argument|returns?|rtype|type|raises?)\b\s*([^:]*):\s*(.*)$")
_PARAMETER = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_PARAMETER = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")
_INPUTS = {"Args", "Arguments", "Parameters", "Params"}


@dataclass(frozen=True)
class Docstring:
    """A docstring in the style of Google, numpy or Sphinx, taken apart."""

    short_description: str = ""
    long_description: str = ""
    input_descriptions: dict[str, str] = field(default_factory=dict)
    output_descriptions: dict[str, str] = field(default_factory=dict)


def parse(function: Callable[..., Any]) -> Docstring:
    """Parses the function's docstring; everything is empty without a docstring."""
    lines = inspect.cleandoc(function.__doc__ or "").splitlines()
    about: list[str] = []
    inputs: dict[str, list[str]] = {}
    index = 0
    while index < len(lines):
        line = lines[index].rstrip()
        google = _GOOGLE.match(line)
        sphinx = _SPHINX.match(line)
        underlined = index + 1 < len(lines) and set(lines[index + 1].strip()) == {"-"}
        if google is not None:
            index = _section(lines, index + 1, inputs if google[1] in _INPUTS else None, _PARAMETER)
        elif underlined and (numpy := _NUMPY.match(line)) is not None:
            index = _numpy_section(lines, index + 2, inputs if numpy[1] == "Parameters" else None)
        elif sphinx is not None:
            index = _sphinx_field(lines, index, sphinx, inputs)
        else:
            about.append(line)
            index += 1
    paragraphs = "\n".join(about).strip().split("\n\n", 1)
    return Docstring(
        short_description=" ".join(paragraphs[0].split()),
        long_description=paragraphs[1].strip() if len(paragraphs) > 1 else "",
        input_descriptions={name: " ".join(" ".join(said).split()) for name, said in inputs.items() if said},
    )


def _section(
    lines: list[str], index: int, found: dict[str, list[str]] | None, parameter: re.Pattern[str]
) -> int:
    """Reads an indented section and returns its end."""
    depth: int | None = None
    current: list[str] = []
    while index < len(lines):
        line = lines[index]
        if line.strip() and not line.startswith((" ", "\t")):
            break
        indent = len(line) - len(line.lstrip())
        if line.strip() and depth is None:
            depth = indent
        match = parameter.match(line.strip()) if indent == depth and line.strip() else None
        if match is not None:
            current = [match[2]] if match[2] else []
            if found is not None:
                found[match[1]] = current
        elif line.strip():
            current.append(line.strip())
        index += 1
    return index


def _numpy_section(lines: list[str], index: int, found: dict[str, list[str]] | None) -> int:
    current: list[str] = []
    while index < len(lines):
        line = lines[index]
        if index + 1 < len(lines) and lines[index + 1].strip() and set(lines[index + 1].strip()) == {"-"}:
            break
        match = _NUMPY_PARAMETER.match(line) if line.strip() and not line.startswith((" ", "\t")) else None
        if match is not None:
            current = []
            if found is not None:
                found[match[1]] = current
        elif line.strip():
            current.append(line.strip())
        index += 1
    return index


def _sphinx_field(lines: list[str], index: int, match: re.Match[str], found: dict[str, list[str]]) -> int:
    said = [match[3]] if match[3] else []
    index += 1
    while index < len(lines) and lines[index].startswith((" ", "\t")):
        said.append(lines[index].strip())
        index += 1
    if match[1] in ("param", "parameter", "arg", "argument") and match[2].split():
        found[match[2].split()[-1]] = said
    return index
