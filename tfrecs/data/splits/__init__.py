"""Parts of a log: what trains, what validates, what tests."""
