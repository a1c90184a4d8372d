"""Other servers of the same network, each written as its documentation advises."""
