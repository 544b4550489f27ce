"""Tasks that both packages deploy and run."""

import datetime

import flyte
import flyte.io

env = flyte.TaskEnvironment(
    name="hello",
    env_vars={"A": "b"},
    resources=flyte.Resources(cpu="500m", memory=("1Gi", "2Gi"), gpu="A100:2", shm="1Gi"),
    secrets=["my-key"],
    description="An env",
)
other = flyte.TaskEnvironment(name="other", image="reg/x:1", depends_on=[env])


@env.task(
    retries=flyte.RetryStrategy(
        3, flyte.Backoff(datetime.timedelta(seconds=1.5), 2.0, datetime.timedelta(minutes=1))
    ),
    timeout=flyte.Timeout(60, 5, 100),
    cache="auto",
)
async def main(x: int, name: str = "w", y: int | None = None) -> str:
    """Says hello.

    And more.

    Args:
        x: a number
        name: a name
    """
    return f"{name} {x}"


@other.task(
    retries=2,
    cache=flyte.Cache("override", version_override="v1", ignored_inputs=("a",), serialize=True, max_age=60),
    report=True,
    interruptible=True,
    entrypoint=True,
    queue="q",
    short_name="sh",
)
def two(b: str, a: int = 3) -> tuple[int, str]:
    return a, b


@env.task
def nothing() -> None: ...
@env.task
def read(file: flyte.io.File) -> str:
    with file.open_sync("rt") as open_file:
        return open_file.read()
