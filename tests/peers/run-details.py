#!/usr/bin/env python3
"""What `flyte.remote` of the published package says of a run, as JSON.

    run-details.py NAME          waits for its end
"""

import json
import os
import sys

import flyte
import flyte.remote as remote

flyte.init_from_config()
run = remote.Run.get(sys.argv[1])
run.wait(quiet=True)
details = run.details()
action = remote.ActionDetails.get(run_name=run.name, name="a0")
told = {
    "phase": run.phase.value,
    "task": details.task_name,
    "attempts": action.attempts,
    "error": action.error_message,
    "aborted": action.abort_info.reason if action.abort_info else None,
    "actions": [
        {"name": a.name, "task": a.task_name, "phase": a.phase.value, "parent": a.parent_name, "group": a.pb2.metadata.group}
        for a in remote.Action.listall(for_run_name=run.name)
    ],
    "logs": "".join(run.get_logs()),
    "outputs": repr(run.outputs().named_outputs) if run.phase.value == "succeeded" else None,
    "inputs": repr(run.inputs().to_dict()),
}
json.dump(told, sys.stdout)
sys.stdout.flush()
# Without the interpreter's shutdown: there, a signal sometimes ended this process on a busy machine, all output written.
os._exit(0)
