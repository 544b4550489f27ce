#!/usr/bin/env python3
"""The same as descriptors.py, of a compiled FileDescriptorSet on standard input. Prints only what others
have published: files under flyteidl2/ and cloudidl/."""

import pathlib
import sys
import types

from google.protobuf import descriptor_pb2

files = descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file
source = pathlib.Path(__file__).with_name("descriptors.py").read_text()
# One description of what is compared, for both sides.
body = source.split("\n\n\ndef fields", 1)[1]
ours = [file for file in files if file.name.startswith(("flyteidl2/", "cloudidl/"))]
exec("import json\ndef fields" + body, {"files": ours, "sys": sys, "types": types})
