"""Whether the photos that come in still look, to the model, like those it was tested on."""
