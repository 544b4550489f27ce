"""A task that waits for a person, and has a trigger that starts nothing."""

import flyte

env = flyte.TaskEnvironment(name="waits", image="python:3.12")
trigger = flyte.Trigger("nightly", flyte.Cron("0 6 * * *", timezone="Europe/Zurich"), inputs={"n": 7}, auto_activate=False)


@env.task(triggers=(trigger,))
async def release(n: int = 1) -> str:
    condition = await flyte.new_condition.aio("approval", prompt="Release it?", data_type=bool)
    return f"{n} {await condition.wait.aio()}"
