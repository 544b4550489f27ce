"""The `app.py` of the user guide's page, which does not say what is in it."""

import flyte

env = flyte.TaskEnvironment(name="page")


@env.task
def square(x: int) -> int:
    return x * x


@env.task
async def main(n: int = 4) -> int:
    """The sum of the squares below a number."""
    print(f"squares below {n}", flush=True)
    return sum(flyte.map(square, range(n)))
