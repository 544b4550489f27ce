"""The published client, unmodified: uploads files and directories, and prints the native URL of each.

Usage: upload.py PATH...
"""

import pathlib
import sys

import flyte
import flyte.remote

flyte.init_from_config()
for path in map(pathlib.Path, sys.argv[1:]):
    if path.is_dir():
        print(flyte.remote.upload_dir(path))
    else:
        print(flyte.remote.upload_file(path)[1])
