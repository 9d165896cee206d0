"""Read and write the folders of runs, and find a run by name."""
