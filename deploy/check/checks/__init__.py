"""What ./dev deploy-check asserts about deploy/kubernetes."""
