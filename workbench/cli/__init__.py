"""The command line: each module parses, reads the settings, makes one call, and ends with its exit code."""
