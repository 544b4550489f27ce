"""Names that the published package has, where commands of tasks name them."""
