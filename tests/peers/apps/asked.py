"""Tasks that ask the control plane for something: time limits, results of before, what only a cluster has."""

import asyncio
import os
import ssl
import tempfile
from datetime import timedelta

import flyte
from flyte.extras import ContainerTask
from flyte.io import File

IMAGE = "python:3.12"
env = flyte.TaskEnvironment(name="asked", image=IMAGE)


@env.task(cache="auto")
async def computed(x: int) -> tuple[int, File]:
    """Who computed it, and a file that goes with it."""
    print(f"computing {x}", flush=True)
    return os.getpid(), await File.from_local(__file__)


@env.task
async def twice(x: int = 3) -> str:
    """Two calls with the same input, one after the other."""
    (first, file), (second, again) = await computed(x), await computed(x)
    async with again.open("rb") as handle:
        read = len(bytes(await handle.read()))
    return f"{first == second} {file.path == again.path} {read > 100}"


@env.task(cache=flyte.Cache("override", version_override="v1", serialize=True))
async def only_once(x: int) -> int:
    await asyncio.sleep(1)
    return os.getpid()


@env.task
async def at_once(x: int = 3) -> int:
    """How many processes computed it for four callers."""
    return len(set(await asyncio.gather(*[only_once(x) for _ in range(4)])))


@env.task(timeout=flyte.Timeout(deadline=timedelta(seconds=4)), retries=5)
async def too_late() -> None:
    print(f"sleeping as {os.getpid()}", flush=True)
    await asyncio.sleep(600)


@env.task
async def late_child() -> str:
    try:
        await too_late()
    except flyte.errors.DeadlineExceededError as error:
        return f"caught {type(error).__name__}: {error}"
    return "nothing was raised"


@env.task
async def uploads() -> str:
    """Uploads a file by the server's signed URL, and counts the certificate authorities that Python trusts."""
    import flyte.remote as remote

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("from inside a task")
        file.flush()
        digest, uri = await remote.upload_file.aio(__import__("pathlib").Path(file.name))
    trusted = len(ssl.create_default_context().get_ca_certs())
    return f"{digest != ''} {uri.endswith('.txt')} {trusted > 50}"


secret = flyte.TaskEnvironment(name="with_secret", image=IMAGE, secrets=flyte.Secret("openai", as_env_var="KEY"))
gpu = flyte.TaskEnvironment(name="with_gpu", image=IMAGE, resources=flyte.Resources(gpu="T4:1"))
scheduled = flyte.TaskEnvironment(name="scheduled", image=IMAGE)


@secret.task
async def asks_for_secret() -> str:
    return os.environ["KEY"]


@env.task
async def calls_one_with_secret() -> str:
    return await asks_for_secret()


@gpu.task
async def asks_for_gpu() -> None: ...


@env.task(queue="large")
async def asks_for_queue() -> None: ...


@scheduled.task(triggers=flyte.Trigger("hourly", flyte.Cron("0 * * * *")))
async def on_schedule() -> None: ...


greeting = ContainerTask(
    name="greeting",
    image="alpine:3.20",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs={"name": str},
    outputs={"greeting": str},
    command=["/bin/sh", "-c", "echo hello $0 > /var/outputs/greeting", "{{.inputs.name}}"],
)
containers = flyte.TaskEnvironment.from_task("containers", greeting)
