"""Tools that agents write: skill directories with a schema, code and tests; run in a sandbox and nowhere else."""
