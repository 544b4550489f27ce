"""How the package logs: the logger `flyte`, on standard error, quiet unless asked."""

from __future__ import annotations

import json
import logging
import os
from typing import Literal

LogFormat = Literal["console", "json"]

logger = logging.getLogger("flyte")


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

    `user_log_level` is the level of `flyte.user`, the logger for tasks. With `reset_root_logger`, other libraries' lines are
    formatted the same way.
    """
    if log_level is None and os.environ.get("LOG_LEVEL", "").isdigit():
        log_level = int(os.environ["LOG_LEVEL"])
    formatted = log_format or os.environ.get("LOG_FORMAT")
    if log_level is not None:
        logger.setLevel(log_level)
    if user_log_level is not None:
        logging.getLogger("flyte.user").setLevel(user_log_level)
    if log_level is None and user_log_level is None and log_format is None and not reset_root_logger:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Json() if formatted == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    target = logging.getLogger() if reset_root_logger else logger
    target.handlers = [handler]
    logger.propagate = reset_root_logger
