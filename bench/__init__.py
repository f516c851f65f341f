"""What a model costs: parameters, operations, latency, memory and load time, measured one way for every runtime."""
