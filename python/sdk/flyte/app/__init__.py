"""Apps: programs that serve requests until they are stopped."""

from __future__ import annotations

from flyte.app._environment import AppEnvironment, Domain, Link, Port, Scaling, Timeouts

__all__ = ["AppEnvironment", "Domain", "Link", "Port", "Scaling", "Timeouts"]
