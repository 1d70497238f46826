"""spoutgen: one YAML file, one Pachyderm spout that resumes from its marker."""

__version__ = "0.1.0"
