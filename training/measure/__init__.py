"""How good a model is: scores, calibration, confusion, and the plots of them."""
