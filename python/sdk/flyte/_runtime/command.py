"""The command line of a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone

# Option: (field, other spelling, the variable for its default).
_OPTIONS = {
    "--inputs": ("inputs", "-i", None),
    "--outputs-path": ("outputs_path", "-o", None),
    "--version": ("version", "-v", None),
    "--run-base-dir": ("run_base_dir", None, "_U_RUN_BASE"),
    "--raw-data-path": ("raw_data_path", "-r", None),
    "--checkpoint-path": ("checkpoint_path", "-c", None),
    "--prev-checkpoint": ("prev_checkpoint", "-p", None),
    "--name": ("name", None, "ACTION_NAME"),
    "--run-name": ("run_name", None, "RUN_NAME"),
    "--run-start-time": ("run_start_time", None, None),
    "--project": ("project", None, "FLYTE_INTERNAL_EXECUTION_PROJECT"),
    "--domain": ("domain", None, "FLYTE_INTERNAL_EXECUTION_DOMAIN"),
    "--org": ("org", None, "_U_ORG_NAME"),
    "--debug": ("debug", None, "_F_E_VS"),
    "--interactive-mode": ("interactive_mode", None, None),
    "--image-cache": ("image_cache", None, None),
    "--tgz": ("tgz", None, None),
    "--pkl": ("pkl", None, None),
    "--dest": ("dest", None, None),
    "--resolver": ("resolver", None, None),
}
_NEEDED = ("inputs", "outputs_path", "version", "run_base_dir", "project", "domain", "run_name", "name")
_USAGE = "usage: a0 --inputs URL --outputs-path URL --version VERSION [OPTIONS] --resolver RESOLVER ARGUMENTS...\n\noptions:\n"


class Wrong(Exception):
    """The command line cannot be followed; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a task is run with. Places are URLs, or paths of this machine."""

    inputs: str
    outputs_path: str
    version: str
    run_base_dir: str
    project: str
    domain: str
    run_name: str
    name: str
    org: str = ""
    raw_data_path: str = ""
    checkpoint_path: str = ""
    prev_checkpoint: str = ""
    run_start_time: str = ""
    debug: str = ""
    interactive_mode: str = ""
    image_cache: str = ""
    tgz: str = ""
    pkl: str = ""
    dest: str = ""
    resolver: str = ""
    resolver_args: tuple[str, ...] = ()

    @property
    def started(self) -> datetime:
        """The start time of the run. If it is unknown, a constant time: a retried task then calls others with the same
        inputs as before."""
        text = self.run_start_time.strip()
        text = text[:-1] + "+00:00" if text.endswith("Z") else text
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return datetime(1970, 1, 1, tzinfo=timezone.utc)
        return (
            moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        )


def read(arguments: Sequence[str]) -> Command | None:
    """The command; or None after printing help, if it was requested.

    Raises Wrong for an option that there is not, one without a value, and one that is missing.
    """
    named = {
        spelling: field
        for long, (field, short, _) in _OPTIONS.items()
        for spelling in (long, short)
        if spelling
    }
    found: dict[str, str] = {}
    rest: list[str] = []
    at = 0
    # The group that the published command is made of takes its name as well.
    arguments = arguments[1:] if arguments[:1] == ["a0"] else arguments
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if argument in ("-h", "--help"):
            print(_USAGE + "\n".join(f"  {option}" for option in _OPTIONS))
            return None
        if argument == "--":
            rest += arguments[at:]
            break
        option, equals, value = argument.partition("=")
        if (option.startswith("--") and option in named) or argument in named:
            if not (equals and option.startswith("--")):
                option = argument
                if at == len(arguments):
                    raise Wrong(f"{option} needs a value")
                value = arguments[at]
                at += 1
            found[named[option]] = value
        elif argument.startswith("--") and not found.get("resolver"):
            raise Wrong(f"unknown option {argument}")
        else:
            rest.append(argument)
    for field, _, variable in _OPTIONS.values():
        # An unfilled placeholder counts as absent.
        if variable and (field not in found or found[field].startswith("{{")):
            value = os.environ.get(variable, "")
            if value:
                found[field] = value
    missing = [f"--{field.replace('_', '-')}" for field in _NEEDED if not found.get(field)]
    if missing:
        raise Wrong(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    found = {key: "" if value.startswith("{{") else value for key, value in found.items()}
    known = {field.name for field in fields(Command)}
    return Command(resolver_args=tuple(rest), **{key: value for key, value in found.items() if key in known})
