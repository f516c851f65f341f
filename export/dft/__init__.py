"""DFT lowering: ``DFT`` nodes rewritten as matrix products."""

from edgefuse.export.dft.lower import LowerMethod, Target, count_dft, lower_dft

__all__ = ["LowerMethod", "Target", "count_dft", "lower_dft"]
