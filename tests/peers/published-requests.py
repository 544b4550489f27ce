#!/usr/bin/env python3
"""Prints every RPC and the messages that its requests can have, for crates/flyte-access/src/door/requests.txt.

The RPCs are those of the published flyteidl2, and of our own cloudidl and flyteauth as a compiled FileDescriptorSet on
standard input has them. Of a message, only fields are printed that hold text or messages: nothing else can name anything.
A field of a oneof is printed with the oneof's name, and then also if it holds something else: it replaces the others.

`--answers RPC...` prints the messages of these RPCs' answers instead, with all fields, for
crates/flyte-gateway/src/filter/answers.txt.
"""

import importlib
import pkgutil
import sys

import flyteidl2
from google.protobuf import descriptor_pb2

TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED

# The RPCs whose answers are wanted.
ANSWERS = sys.argv[2:] if sys.argv[1:2] == ["--answers"] else []

files = {}


def add(file):
    for dependency in file.dependencies:
        add(dependency)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    files[proto.name] = proto


for module in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2."):
    if module.name.endswith("_pb2"):
        add(importlib.import_module(module.name).DESCRIPTOR)
for file in descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file:
    # What is published counts as published.
    files.setdefault(file.name, file)

messages = {}


def collect(prefix, protos):
    for message in protos:
        name = f"{prefix}.{message.name}"
        messages[name] = message
        collect(name, message.nested_type)


for file in files.values():
    collect(file.package, file.message_type)


def kind(field):
    if field.type == TEXT:
        return "text"
    return field.type_name.removeprefix(".") if field.type == MESSAGE else "other" if ANSWERS else None


def choice(field):
    """Whether a field of a request belongs to a oneof, as its author wrote it."""
    return not ANSWERS and field.HasField("oneof_index") and not field.proto3_optional


def lines(name):
    """The fields of a message, and the messages in them."""
    oneofs = {field.oneof_index for field in messages[name].field if choice(field) and kind(field)}
    for field in sorted(messages[name].field, key=lambda field: field.number):
        what, form = kind(field), "*" if field.label == REPEATED else ""
        of = ""
        if choice(field) and field.oneof_index in oneofs:
            what, of = what or "other", f" {messages[name].oneof_decl[field.oneof_index].name}"
        if what in messages and messages[what].options.map_entry:
            value = next(entry for entry in messages[what].field if entry.number == 2)
            what, form = kind(value), "{}"
        if what:
            camel = field.name.split("_")
            camel = camel[0] + "".join(part[:1].upper() + part[1:] for part in camel[1:])
            assert field.json_name in ("", camel), f"{name}.{field.name} is called {field.json_name}"
            yield f"{field.number} {field.name}{form} {what}{of}", what


wanted = []
for file in sorted(files.values(), key=lambda file: file.name):
    for service in file.service:
        for method in service.method:
            rpc = f"{file.package}.{service.name}/{method.name}"
            message = (method.output_type if ANSWERS else method.input_type).removeprefix(".")
            if not ANSWERS or rpc in ANSWERS:
                print(f"rpc {rpc} {message}")
                wanted.append(message)

known = set()
while wanted:
    name = wanted.pop()
    if name not in known and name not in ("text", "other"):
        known.add(name)
        wanted.extend(what for _, what in lines(name))
for name in sorted(known):
    print(f"\nmessage {name}")
    for line, _ in lines(name):
        print(line)
