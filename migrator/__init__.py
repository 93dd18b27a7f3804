"""Services on their way from the legacy machines to Kubernetes."""
