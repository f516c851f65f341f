"""From PyTorch to ONNX, and from ONNX to TensorRT engines, each checked against the model that it came from."""

# A checkout on sys.path would offer this folder as a top-level package of a name that anyone may use.
if __name__ == "export":
    raise ImportError("import edgefuse.export")
