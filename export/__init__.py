"""From PyTorch to ONNX, and from ONNX to TensorRT engines, each checked against the model that it came from."""
