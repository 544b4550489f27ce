"""Tasks that call each other, for either package to deploy and either to run."""

import asyncio
import dataclasses
import os
import pathlib

from helper import shout

import flyte
import flyte.errors
import flyte.io

# An image by its name, so that none is built.
env = flyte.TaskEnvironment(name="flow", image="registry.example/flow:1")


@dataclasses.dataclass
class Item:
    name: str
    size: int = 1


@env.task
async def item(name: str, size: int) -> Item:
    return Item(shout(name), size)


@env.task
def total(items: list[Item], extra: dict[str, int]) -> int:
    return sum(one.size for one in items) + sum(extra.values())


@env.task
async def store(text: str) -> flyte.io.File:
    # Not `from_local`: if files are stored on this machine, the published package passes on the file of the task's own directory.
    file = flyte.io.File.new_remote("text.txt")
    async with file.open("wb") as opened:
        await opened.write(text.encode())
    return file


@env.task
async def read(file: flyte.io.File) -> str:
    async with file.open("rb") as opened:
        return bytes(await opened.read()).decode()


@env.task
async def whole(words: list[str]) -> tuple[int, str, str]:
    """Calls the others."""
    with flyte.group("items"):
        items = await asyncio.gather(*[item(word, len(word)) for word in words])
    size = await total.aio(items, {"a": 1})
    text = await read(await store(",".join(one.name for one in items)))
    return size, text, flyte.ctx().action.run_name


@env.task
def mapped(numbers: list[int]) -> list[int]:
    return list(flyte.map(square, numbers))


@env.task
def square(n: int) -> int:
    return n * n


@env.task
async def broken(how: str) -> str:
    if how == "raise":
        raise ValueError("of no value")
    if how == "never":
        raise flyte.errors.NonRecoverableError("it never will")
    return how


@env.task
async def catching() -> str:
    try:
        await broken("raise")
    except flyte.errors.RuntimeUserError as error:
        return f"{error.code}: {str(error).splitlines()[0]}"
    return "nothing"


@env.task(retries=2)
async def second_time(directory: str) -> str:
    """Its children are found again when it is run again."""
    found = await item(directory, 3)
    mark = pathlib.Path(directory) / "tried"
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        raise ConnectionError("not yet")
    return f"{found.size}"
