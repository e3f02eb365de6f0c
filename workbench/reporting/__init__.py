"""Run notebooks headless, and make what they find readable: figures, tables, reports, the index of runs."""

# Set by the runner: the folder of a notebook's artefacts. Here, because even the lightest modules ask for it.
RUN_DIR_VARIABLE = "WORKBENCH_RUN_DIR"
