"""Run several processes of one run: find the processes, exchange values, divide batches, launch."""
