"""The fusion networks, by name.

``create("rpfnet", variant="paper")`` builds a network, ``names()`` lists those that ship, ``register`` adds one, and
``load_weights``/``save_weights`` move its tensors from and to disk. Importing this package imports no torch.
"""

from __future__ import annotations

from edgefuse.models.registry import create, names, register
from edgefuse.models.weights import load_weights, save_weights

__all__ = ["create", "load_weights", "names", "register", "save_weights"]
