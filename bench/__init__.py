"""What a model costs: parameters, operations, latency, memory and load time, measured one way for every runtime."""

# A checkout on sys.path would offer this folder as a top-level package of a name that anyone may use.
if __name__ == "bench":
    raise ImportError("import edgefuse.bench")
