"""Tasks on their way to where they run, and running there."""
