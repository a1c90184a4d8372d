"""From what is wanted and what is there to the steps between, in AWS's words, with the price. Pure."""
