"""Where fused pictures go: each output in a thread of its own, so that a slow one holds up no other."""

from edgefuse.stream.outputs.create import create_output, dated
from edgefuse.stream.outputs.output import Output, OutputThread
from edgefuse.stream.outputs.raw import RawRecorder

__all__ = ["Output", "OutputThread", "RawRecorder", "create_output", "dated"]
