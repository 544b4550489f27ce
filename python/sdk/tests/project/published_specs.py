"""Prints the specs of the project's tasks as the published package writes them."""

import asyncio
import json
import pathlib
import sys

from google.protobuf.json_format import MessageToDict

from flyte._internal.image_cache import ImageCache
from flyte._internal.runtime.convert import convert_upload_default_inputs
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.models import CodeBundle, SerializationContext

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import app

images = {task.parent_env_name: task.image.uri for one in (app.env, app.other) for task in one.tasks.values()}
context = SerializationContext(
    version="v1",
    project="p",
    domain="d",
    org="o",
    code_bundle=CodeBundle(computed_version="v1", tgz="file:///b.tgz"),
    root_dir=pathlib.Path(__file__).parent,
    image_cache=ImageCache(image_lookup=images),
)
specs = []
for environment in (app.env, app.other):
    for task in environment.tasks.values():
        defaults = asyncio.run(convert_upload_default_inputs(task.interface))
        specs.append(MessageToDict(translate_task_to_wire(task, context, default_inputs=defaults)))
print(json.dumps(specs))
