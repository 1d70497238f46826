"""What lies between a project and a cluster: its image, and the cluster's own clients."""
