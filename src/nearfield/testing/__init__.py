"""Tools for tests, shipped: a scripted service, and contracts for providers and stores."""
