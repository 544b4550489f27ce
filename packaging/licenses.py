#!/usr/bin/env python3
"""Prints the licences of all code in the binaries that is not ours: licenses.py TARGET CRATE...

It lists each crate that the binaries of CRATE contain for TARGET, and Rust's standard library, with the licence files that come with
them, also those of C libraries in them. A text that several have is printed once. A crate without a licence file counts as licensed by
the standard text of its licence, with its authors; one whose licence has no standard text here is an error."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

# Files with licences, copyright lines and notices. Crates call them by many names.
NAMES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense|authors)([-_.].*)?", re.IGNORECASE)
# Not licences of the code: names of parts of programs, and licences of test data and tools that are in no binary.
NO_TEXTS = {".rs", ".py", ".c", ".h", ".toml", ".json", ".yml", ".yaml", ".go", ".html", ".pl", ".sh"}
NO_DIRECTORIES = {"tests", "test", "testdata", "benches", "examples", "docs", "doc", "fuzz", "tools", "util", "ci", "contrib"}
# How deep C libraries are in a crate.
MAX_DEPTH = 5
# How the text of the MIT licence begins, after its copyright line.
MIT_BEGIN = "Permission is hereby granted, free of charge"


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def contained(target: str, crates: list[str]) -> set[tuple[str, str]]:
    """The names and versions of the crates that are compiled into the binaries; not those that only build them."""
    found = set()
    for crate in crates:
        listing = output(
            "cargo", "tree", "--locked", "--package", crate, "--target", target, "--edges", "normal,no-proc-macro",
            "--prefix", "none", "--format", "{p}", "--no-dedupe",
        )
        for line in listing.splitlines():
            name, version, *_ = line.split()
            found.add((name, version.removeprefix("v")))
    return found


def texts(directory: Path) -> list[tuple[str, str]]:
    """The licence files of a crate, by their paths in it."""
    found = []
    for path in sorted(directory.rglob("*")):
        parts = path.relative_to(directory).parts
        if len(parts) > MAX_DEPTH or NO_DIRECTORIES.intersection(parts[:-1]) or not NAMES.fullmatch(path.name):
            continue
        # Below the crate's own directory are the C libraries; sources may have these names too.
        if path.is_file() and path.suffix.lower() not in NO_TEXTS and path.stat().st_size:
            found.append(("/".join(parts), path.read_text(encoding="utf-8", errors="replace")))
    # Authors are a notice, but no licence.
    return found if any(not name.lower().startswith("authors") for name, _ in found) else []


def choice(license: str | None, found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of several licences to choose from, Apache-2.0 with its notices: that text is the same for all."""
    choices = re.split(r"\s+OR\s+|/", license or "")
    if "Apache-2.0" not in choices or not any("apache" in name.lower() for name, _ in found):
        return found
    others = re.compile(r"(mit|unlicense|zlib|0?bsd|boost|isc)", re.IGNORECASE)
    return [(name, text) for name, text in found if not others.search(name.rpartition("/")[2])]


def key(text: str) -> str:
    """The same for texts that differ in white space, or in the appendix of the Apache licence, which says how to use it."""
    return " ".join(text.partition("END OF TERMS AND CONDITIONS")[0].lower().split())


def standard(package: dict, mit: str) -> list[tuple[str, str]]:
    """The standard text of a crate's licence; `mit` is that of the MIT licence."""
    choices = re.split(r"\s+OR\s+|/", package["license"] or "")
    if "Apache-2.0" in choices:
        return [("Apache-2.0", Path("LICENSE").read_text())]
    if "MIT" in choices:
        authors = ", ".join(package["authors"]) or f"The authors of {package['name']}"
        return [("MIT", f"Copyright (c) {authors}\n\n{mit}\n")]
    sys.exit(f"licenses.py: {package['name']} has no licence file, and the licence {package['license']!r} has no standard text here")


def standard_library() -> str:
    """The licences of Rust's standard library, as the toolchain has them."""
    path = Path(output("rustc", "--print", "sysroot").strip(), "share/doc/rust/COPYRIGHT-library.html")
    if not path.exists():
        # Toolchains before 1.86, and those of some distributions.
        return "Copyright (c) The Rust Project contributors, Apache-2.0 OR MIT: https://github.com/rust-lang/rust"
    page = re.sub(r"<(style|script).*?</\1>", "", path.read_text(), flags=re.DOTALL)
    lines = html.unescape(re.sub(r"<[^>]+>", "", page)).splitlines()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip() + "\n"


def main(target: str, *crates: str) -> None:
    wanted = contained(target, list(crates))
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    packages = [one for one in metadata["packages"] if one["source"] and (one["name"], one["version"]) in wanted]
    packages.sort(key=lambda one: (one["name"], one["version"]))
    printed: dict[str, tuple[str, list[str]]] = {}
    table = []
    own = [choice(one["license"], texts(Path(one["manifest_path"]).parent)) for one in packages]
    mit = next(
        text[text.index(MIT_BEGIN) :]
        for package, found in zip(packages, own, strict=True)
        for _, text in found
        if package["license"] == "MIT" and MIT_BEGIN in text
    )
    for package, found in zip(packages, own, strict=True):
        name = f"{package['name']} {package['version']}"
        table.append(f"{name}: {package['license'] or 'see its text'}, {package['repository'] or 'crates.io'}")
        for path, text in found or standard(package, mit):
            printed.setdefault(key(text), (text, []))[1].append(f"{name} ({path})")
    rule = "=" * 100
    print("The programs of flyte-auth contain code of other projects. This file has their licences and notices.\n")
    print("flyte-auth itself is under the licence in the file LICENSE.\n")
    print("\n".join(table))
    for text, names in printed.values():
        print(f"\n{rule}\n" + "\n".join(names) + f"\n{rule}\n\n{text.strip()}")
    print(f"\n{rule}\nThe standard library of Rust\n{rule}\n\n{standard_library().strip()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
