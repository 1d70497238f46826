"""A small Pachyderm on this machine: the store, and a worker that does to a project what a 1.x worker does."""
