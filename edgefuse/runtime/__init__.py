"""Inference runtimes behind one protocol: activate, infer, deactivate."""
