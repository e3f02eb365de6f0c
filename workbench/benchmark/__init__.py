"""Is the new database fast enough for our questions, and faster than the old one? Workloads, runner, results."""
