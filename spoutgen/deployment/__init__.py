"""What a project and a cluster have to do with each other: deploying, how it goes, the marker."""
