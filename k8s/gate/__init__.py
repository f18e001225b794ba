"""Whether manifests would be accepted and run: checked here, without a cluster."""
