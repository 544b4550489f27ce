"""`a0`: runs one task, in a container or a separate process. Its options are those of the published package, so that each runs what
the other deployed."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the task that the command line names, and returns the process's exit code.

    0 says that the task's outputs, or its error, are written; 1 that nothing could be; 2 that the command line is wrong.
    """
    # Modules of the working directory are found before all others, as the code is unpacked into it.
    sys.path.insert(0, ".")
    from flyte._runtime.command import Wrong, read

    try:
        command = read(sys.argv[1:])
    except Wrong as error:
        print(f"a0: {error}", file=sys.stderr)
        return 2
    if command is None:
        return 0
    from flyte._runtime.entry import run

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
