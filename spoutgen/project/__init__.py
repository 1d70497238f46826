"""Project folders: render, create, update."""
