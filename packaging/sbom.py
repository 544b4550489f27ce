#!/usr/bin/env python3
"""Prints one CycloneDX document for an archive: sbom.py VERSION DOCUMENT...

Each document describes one of the binaries, as cargo-cyclonedx writes it. Crates that several binaries contain are listed once, and
paths of the building machine are removed, so that the same commit gives the same bytes."""

import json
import sys
from pathlib import Path
from typing import Any


def merge(version: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
    merged = documents[0]
    binaries = [document["metadata"]["component"] for document in documents]
    components = {part["bom-ref"]: part for document in documents for part in document["components"]}
    dependencies: dict[str, set[str]] = {}
    for document in documents:
        for entry in document["dependencies"]:
            dependencies.setdefault(entry["ref"], set()).update(entry.get("dependsOn", []))
    name = "flyte-auth"
    dependencies[name] = {binary["bom-ref"] for binary in binaries}
    for binary in binaries:
        # Their targets are not parts of their own.
        binary.pop("components", None)
        components[binary["bom-ref"]] = binary
    licenses = [{"expression": "Apache-2.0"}]
    merged["metadata"]["component"] = {
        "type": "application", "bom-ref": name, "name": name, "version": version, "licenses": licenses
    }
    merged["components"] = [components[ref] for ref in sorted(components)]
    merged["dependencies"] = [{"ref": ref, "dependsOn": sorted(dependencies[ref])} for ref in sorted(dependencies)]
    return merged


if __name__ == "__main__":
    version, *paths = sys.argv[1:]
    root = Path.cwd().as_uri()
    documents = [json.loads(Path(path).read_text().replace(f"path+{root}/", "path+file:///")) for path in paths]
    json.dump(merge(version, documents), sys.stdout, indent=1)
