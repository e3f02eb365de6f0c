"""Run notebooks headless, and make what they find readable: figures, tables, reports, the index of runs."""
