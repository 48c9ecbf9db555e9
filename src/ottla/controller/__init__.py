"""Changes of what the cluster knows: plan, commit, publish."""
