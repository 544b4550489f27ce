"""How the package logs: the logger `flyte`, on standard error, quiet unless asked."""

from __future__ import annotations

import json
import logging
import os
from typing import Literal

LogFormat = Literal["console", "json"]

logger = logging.getLogger("flyte")
# The logger for tasks: `flyte.logger`.
user_logger = logging.getLogger("flyte.user")
_CONSOLE = "%(levelname)s %(name)s: %(message)s"
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def initialize_logger(
    log_level: int | None = None,
    log_format: LogFormat | None = None,
    reset_root_logger: bool = False,
    user_log_level: int | None = None,
) -> None:
    """Sets the level and format of this package's log; by default from `LOG_LEVEL` and `LOG_FORMAT`.

    `user_log_level` is the level of `flyte.user`, the logger for tasks (`flyte.logger`); by default it is `USER_LOG_LEVEL`, or INFO.
    With `reset_root_logger`, other libraries' lines are formatted the same way.
    """
    _initialize_user_logger(log_format, user_log_level)
    if log_level is None and os.environ.get("LOG_LEVEL", "").isdigit():
        log_level = int(os.environ["LOG_LEVEL"])
    formatted = log_format or os.environ.get("LOG_FORMAT")
    if log_level is not None:
        logger.setLevel(log_level)
    if log_level is None and log_format is None and not reset_root_logger:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(formatted))
    target = logging.getLogger() if reset_root_logger else logger
    target.handlers = [handler]
    logger.propagate = reset_root_logger


def _formatter(log_format: str | None) -> logging.Formatter:
    return _Json() if log_format == "json" else logging.Formatter(_CONSOLE)


def _initialize_user_logger(log_format: str | None = None, level: int | None = None) -> None:
    """Has the logger for tasks write to standard error. A level or a handler that the program has set stays."""
    if level is None and user_logger.level == logging.NOTSET:
        given = os.environ.get("USER_LOG_LEVEL", "").upper()
        level = (
            int(given) if given.isdigit() else getattr(logging, given) if given in _LEVELS else logging.INFO
        )
    if level is not None:
        user_logger.setLevel(level)
    if not user_logger.handlers:
        user_logger.addHandler(logging.StreamHandler())
        # Its lines are written once, whatever the other loggers do.
        user_logger.propagate = False
        log_format = log_format or os.environ.get("LOG_FORMAT") or "console"
    if log_format is not None:
        for handler in user_logger.handlers:
            handler.setFormatter(_formatter(log_format))


_initialize_user_logger()
