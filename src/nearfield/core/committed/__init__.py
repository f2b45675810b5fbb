"""A store over an engine that has no transactions; see :mod:`nearfield.core.committed.store`."""
