"""Several processes of one run: who is who, what they share, and how they are started."""
