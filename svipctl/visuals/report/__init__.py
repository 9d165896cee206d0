"""Write the run report: one self-contained HTML file."""
