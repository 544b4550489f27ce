"""Running a task as its command says: from fetching its code to writing its outputs or its error."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from typing import Any

from flyte import storage
from flyte._context import within
from flyte._runtime.code import load_pickled, load_task, unpack
from flyte._runtime.command import Command
from flyte._runtime.convert import context_of, error_document
from flyte._runtime.execute import execute
from flyte._runtime.module import take_local_paths
from flyte._runtime.spec import read_images
from flyte._task import Task
from flyte._wire import decode, encode
from flyte.models import ActionID, CheckpointPaths, CodeBundle, RawDataPath, TaskContext

_INPUTS = "flyteidl2.task.Inputs"
_OUTPUTS = "flyteidl2.task.Outputs"
_ERROR = "flyteidl2.core.ErrorDocument"


def run(command: Command) -> int:
    """Runs the task and writes its outputs or its error. Returns 0 if one of them is written."""
    if hasattr(signal, "SIGUSR1"):
        # For a look at a task that hangs.
        faulthandler.register(signal.SIGUSR1)
    try:
        outputs = _run(command)
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit) as error:
        return _failed(command, error)
    storage.write_sync(storage.join(command.outputs_path, "outputs.pb"), outputs)
    sys.stdout.flush()
    return 0


def _failed(command: Command, error: BaseException) -> int:
    """Writes the error to standard error for users, and next to the outputs for the control plane."""
    document = error_document(error)
    written = document["error"]
    print(f"{written['code']}: {written['message']}", file=sys.stderr, flush=True)
    try:
        storage.write_sync(storage.join(command.outputs_path, "error.pb"), encode(_ERROR, document))
    except OSError as failure:
        print(f"a0: the error cannot be written: {failure}", file=sys.stderr)
        return 1
    return 0


def _run(command: Command) -> bytes:
    from flyte.errors import InlineIOMaxBytesBreached

    task = _load(command)
    inputs: dict[str, Any] = {}
    try:
        inputs = decode(
            _INPUTS, storage.read_sync(command.inputs, at_most=_at_most(task.max_inline_io_bytes))
        )
    except FileNotFoundError:
        # A task without inputs has no need of a file that says so.
        if task.interface.required_inputs():
            raise
    outputs = asyncio.run(_execute(command, task, inputs))
    data = encode(_OUTPUTS, outputs)
    if len(data) > task.max_inline_io_bytes:
        raise InlineIOMaxBytesBreached(
            f"the outputs of {task.name} have {len(data)} bytes, and {task.max_inline_io_bytes} are taken: return a flyte.io.File"
        )
    return data


def _at_most(limit: int) -> int:
    # The writer of the inputs enforced its own limit, which may differ from the current one.
    return max(limit, 1 << 20) * 4


def _load(command: Command) -> Task[Any, Any]:
    destination = command.dest or "."
    if destination not in sys.path:
        sys.path.insert(0, destination)
    take_local_paths(os.environ.get("_F_SYS_PATH"))
    _initialize(command)
    if command.pkl:
        return load_pickled(command.pkl, destination)
    if command.tgz:
        unpack(command.tgz, destination)
    return load_task(command.resolver, command.resolver_args)


def _initialize(command: Command) -> None:
    """Makes the control plane known to the task, by what its environment says."""
    from flyte._initialize import init_in_cluster

    init_in_cluster(org=command.org or None, project=command.project, domain=command.domain)


async def _execute(command: Command, task: Task[Any, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    from flyte._runtime.remote import RemoteController

    bundle = None
    if command.tgz or command.pkl:
        bundle = CodeBundle(
            computed_version=command.version,
            destination=command.dest or ".",
            tgz=command.tgz or None,
            pkl=command.pkl or None,
        )
    raw = command.raw_data_path or storage.join(command.outputs_path, "raw")
    context = TaskContext(
        action=ActionID(
            name=command.name,
            run_name=command.run_name,
            project=command.project,
            domain=command.domain,
            org=command.org,
        ),
        version=command.version,
        raw_data_path=RawDataPath(path=raw),
        input_path=command.inputs,
        output_path=command.outputs_path,
        run_base_dir=command.run_base_dir,
        checkpoint_paths=CheckpointPaths(command.prev_checkpoint or None, command.checkpoint_path or None),
        code_bundle=bundle,
        image_lookup=read_images(command.image_cache),
        interactive_mode=command.interactive_mode.lower() in ("true", "1", "yes"),
        custom_context=context_of(inputs),
        run_start_time=command.started,
    )
    controller = RemoteController(context)
    try:
        with within(task=context, controller=controller):
            return await execute(task, inputs)
    finally:
        controller.stop()
