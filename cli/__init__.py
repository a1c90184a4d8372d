"""The commands. Modules here import nothing heavy at the top, so that `--help` is instant."""
