#!/usr/bin/env python3
"""Prints the Homebrew formula of a release: formula.py REPOSITORY VERSION SHA256SUMS

REPOSITORY is the URL of the repository, without a slash at its end."""

import re
import sys
from pathlib import Path


def formula(repository: str, version: str, sums: str) -> str:
    hashes = {}
    for line in sums.splitlines():
        digest, _, name = line.partition("  ")
        hashes[name] = digest

    def value(match: re.Match[str]) -> str:
        kind, _, ending = match[1].partition(":")
        if kind == "SHA256":
            name = f"flyte-auth-{version}-{ending}"
            if not re.fullmatch("[0-9a-f]{64}", hashes.get(name, "")):
                sys.exit(f"formula.py: the checksums have no line for {name}")
            return hashes[name]
        return {"REPOSITORY": repository, "VERSION": version}[kind]

    template = Path(__file__).with_name("flyte-auth.rb.in").read_text()
    # The comment at the top is about the template.
    return re.sub("@([A-Z0-9]+(?::[^@]+)?)@", value, template[template.index("class ") :])


if __name__ == "__main__":
    repository, version, sums = sys.argv[1:]
    sys.stdout.write(formula(repository.rstrip("/"), version, Path(sums).read_text()))
