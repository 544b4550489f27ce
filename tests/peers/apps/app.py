"""Tasks that the published package runs: plain ones, nested ones, failing ones, and ones that take and give data.

An image is named explicitly, so that nothing wants to build one; the local runner starts no image.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta

import flyte
from flyte.io import Dir, File

env = flyte.TaskEnvironment(name="peer", image="python:3.12", env_vars={"GREETING": "hello"})


@dataclass
class Point:
    x: int
    y: float
    label: str = "p"


@env.task
async def double(x: int) -> int:
    """Twice a number."""
    print(f"doubling {x}", flush=True)
    return x * 2


@env.task
def square(x: int) -> int:
    return x * x


@flyte.trace
async def successor(x: int) -> int:
    return x + 1


@env.task
async def main(n: int = 3, who: str = "world") -> str:
    """A parent with a nested task, a map over 20 items and a traced function.

    Args:
        n: What is doubled.
        who: Who is greeted.
    """
    print(f"{os.environ['GREETING']} {who}, {os.environ.get('FROM_RUN', 'nothing')} from the run", flush=True)
    doubled = await double(n)
    with flyte.group("squares"):
        total = sum(flyte.map(square, range(20)))
    return f"{who}: {doubled} {total} {await successor(n)}"


@env.task
async def failing(x: int = 1) -> int:
    raise ValueError(f"deliberate failure {x}")


@env.task
async def parent_of_failing() -> str:
    try:
        await failing(7)
    except flyte.errors.RuntimeUserError as error:
        return f"caught {error.code}: {error}"
    return "nothing was raised"


@env.task(retries=2)
async def retried() -> int:
    attempt = flyte.ctx().attempt_number
    print(f"attempt {attempt}", flush=True)
    if attempt < 1:
        raise RuntimeError("not yet")
    return attempt


@env.task(retries=3)
async def hopeless() -> None:
    raise flyte.errors.NonRecoverableError("never again")


@env.task(timeout=timedelta(seconds=3))
async def endless() -> None:
    await asyncio.sleep(600)


@env.task
async def shapes(p: Point, tags: list[str], scale: float = 2.0) -> Point:
    return Point(p.x + len(tags), p.y * scale, "+".join([p.label, *tags]))


@env.task
async def lowered(f: File) -> tuple[File, Dir, File]:
    """A file and a directory that are gone when the task ends, and a file that is written in its place."""
    async with f.open("rb") as handle:
        content = bytes(await handle.read())
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(os.path.join(directory, "below"))
        for name in ("lower.txt", os.path.join("below", "length.txt")):
            with open(os.path.join(directory, name), "wb") as lower:
                lower.write(content.lower() if name == "lower.txt" else str(len(content)).encode())
        written = File.new_remote()
        async with written.open("wb") as handle:
            await handle.write(content.decode().upper().encode())
        file = await File.from_local(os.path.join(directory, "lower.txt"))
        return file, await Dir.from_local(directory), written


@env.task
async def files(f: File) -> tuple[str, list[str], File]:
    """Reads what another task gave, in each way that there is."""
    file, directory, written = await lowered(f)
    async with file.open("rb") as handle:
        text = bytes(await handle.read()).decode()
    with open(await written.download()) as upper:
        text += upper.read()
    with written.open_sync("rb") as handle:
        text += handle.read().decode()
    whole = await directory.download()
    with open(os.path.join(whole, "below", "length.txt")) as length:
        text += length.read()
    return text, sorted([one.name async for one in directory.walk()]), written


@env.task
async def names(d: Dir) -> list[str]:
    return sorted([file.name async for file in d.walk()])


@env.task
async def slow(seconds: int = 600) -> None:
    print(f"sleeping as {os.getpid()}", flush=True)
    await asyncio.sleep(seconds)


@env.task
async def slow_parent() -> None:
    print("waiting for a child", flush=True)
    await slow(600)


@env.task
async def whoami() -> str:
    """Who the task is to the server, and whether it can do what only people may."""
    import flyte.remote as remote

    user = await remote.User.get.aio()
    try:
        await remote.Project.create.aio(id="made-by-a-task", name="made by a task")
    except Exception as error:
        return f"{user.subject()}: {type(error).__name__}: {error}"
    return f"{user.subject()} made a project"
