"""Prepares tasks for running elsewhere, and runs them there."""
