#!/usr/bin/env python3
"""Prints, as JSON, what the published flyteidl2 says of the packages that are named as arguments' modules."""

import importlib
import json
import sys

from google.protobuf import descriptor_pb2

files = []
for module in sys.argv[1:]:
    file = descriptor_pb2.FileDescriptorProto()
    importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
    files.append(file)


def fields(message):
    oneofs = [oneof.name for oneof in message.oneof_decl]
    return {
        field.name: {
            "number": field.number,
            "type": field.type,
            "label": field.label,
            "type_name": field.type_name,
            # A field marked `optional` is in a separate synthetic oneof.
            "oneof": oneofs[field.oneof_index] if field.HasField("oneof_index") else None,
            "optional": field.proto3_optional,
        }
        for field in message.field
    }


def enum(proto):
    return {value.name: value.number for value in proto.value}


def messages(prefix, protos, out):
    for message in protos:
        name = f"{prefix}.{message.name}"
        out["messages"][name] = {"fields": fields(message), "map": message.options.map_entry}
        messages(name, message.nested_type, out)
        for nested in message.enum_type:
            out["enums"][f"{name}.{nested.name}"] = enum(nested)


out = {"messages": {}, "enums": {}, "methods": {}}
for file in files:
    messages(file.package, file.message_type, out)
    for top in file.enum_type:
        out["enums"][f"{file.package}.{top.name}"] = enum(top)
    for service in file.service:
        for method in service.method:
            out["methods"][f"{file.package}.{service.name}/{method.name}"] = {
                "input": method.input_type,
                "output": method.output_type,
                "client_streaming": method.client_streaming,
                "server_streaming": method.server_streaming,
                "idempotency": method.options.idempotency_level,
            }
json.dump(out, sys.stdout, sort_keys=True)
