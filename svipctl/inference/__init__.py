"""A trained model: a network with everything needed to use it, from loading to answers."""
