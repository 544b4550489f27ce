#!/bin/sh
# Simulates a browser that only writes its URL to a file: look.sh FILE URL
printf '%s' "$2" > "$1.tmp" && mv "$1.tmp" "$1"
