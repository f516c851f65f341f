"""ONNX Runtime on a GPU without an allocation per frame: inputs and output stay where they are on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["TENSOR_TYPES", "BoundSession"]

TENSOR_TYPES: dict[str, type[np.float32] | type[np.float16]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
"""Types that images may have in a graph, by ONNX Runtime's names."""


class BoundSession:
    """A session whose tensors are allocated once a shape.

    On the CPU this would gain nothing: a session reads NumPy arrays where they are, and its output is the caller's.

    Args:
        session: The session of a fusion graph, whose output has the shape of its inputs.
        inputs: Names of the inputs, in order.
        dtype: Type of the inputs; that of the output is the graph's.
        device: Where the tensors lie, as ONNX Runtime calls it.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: Sequence[str], dtype: type[Any], *, device: str = "cuda"
    ) -> None:
        self._session, self._names, self._dtype, self._device = session, tuple(inputs), dtype, device
        output = session.get_outputs()[0]
        self._output_name, self._output_dtype = output.name, TENSOR_TYPES.get(output.type, dtype)
        self._shape: tuple[int, ...] | None = None

    def run(self, images: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Run the graph.

        Args:
            images: One array an input, all of one shape.  # [B, 1, H, W]

        Returns:
            The output, which the caller may keep.  # [B, 1, H, W]
        """
        if images[0].shape != self._shape:
            self._bind(images[0].shape)
        for value, image in zip(self._values, images, strict=True):
            value.update_inplace(np.ascontiguousarray(image, dtype=self._dtype))
        self._session.run_with_iobinding(self._binding)
        return np.array(self._output.numpy(), dtype=np.float32)

    def _bind(self, shape: tuple[int, ...]) -> None:
        import onnxruntime

        def allocate(dtype: type[Any]) -> Any:
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, self._device, 0)

        self._shape = None  # stays so if memory runs out
        self._binding = self._session.io_binding()
        self._values = [allocate(self._dtype) for _ in self._names]
        self._output = allocate(self._output_dtype)
        for name, value in zip(self._names, self._values, strict=True):
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(self._output_name, self._output)
        self._shape = shape
