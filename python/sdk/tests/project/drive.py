"""Deploys or runs tasks of a file with the installed package, either one.

Usage: drive.py run|deploy|serve TASK JSON. Prints the run's name, or the version that was deployed.
"""

import importlib
import json
import pathlib
import sys

import flyte

root = pathlib.Path(__file__).parent
sys.path.insert(0, str(root))
what, name, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
module, _, function = name.partition(".")
task = getattr(importlib.import_module(module), function)
flyte.init_from_config(root_dir=root)
if what == "run":
    run = flyte.with_runcontext(mode="remote").run(task, **inputs)
    print(run.name)
elif what == "serve":
    print(flyte.serve(task).name)
else:
    deployed = flyte.deploy(importlib.import_module(module).env)
    print(type(deployed).__name__)
