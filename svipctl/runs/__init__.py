"""The folders that trainings leave: what is in one, its records, and which one is meant."""
