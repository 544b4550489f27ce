"""The examples of docs/guide/python.md and tasks.md run as they are printed."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import ROOT

EXAMPLES = [
    example
    for page in ("python", "tasks")
    for example in re.findall(r"```python\n(.*?)```", (ROOT / f"docs/guide/{page}.md").read_text(), re.S)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_guides_examples_run(example: str, signed_in: pathlib.Path) -> None:
    environment = {"HOME": str(signed_in), "PATH": os.environ["PATH"]}
    output = subprocess.run(
        [sys.executable, "-c", example],
        cwd=signed_in,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert output.returncode == 0, output.stderr
    assert len(EXAMPLES) > 4
