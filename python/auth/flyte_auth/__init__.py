"""Sign-in, tokens and sessions for Flyte 2."""
