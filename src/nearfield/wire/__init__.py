"""What goes over the wire, as pure functions."""
