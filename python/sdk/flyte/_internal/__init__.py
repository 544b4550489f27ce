"""Modules that the commands of tasks name, with the names of the published package."""
