"""A page that shows a running stream in a browser, with its health and numbers for machines."""

from edgefuse.stream.preview.metrics import prometheus
from edgefuse.stream.preview.server import PreviewServer, parse_address

__all__ = ["PreviewServer", "parse_address", "prometheus"]
