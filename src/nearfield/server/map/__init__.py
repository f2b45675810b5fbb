"""The map of an index: every node a point, near ones together."""
