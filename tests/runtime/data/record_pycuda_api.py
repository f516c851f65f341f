"""Record which names ``pycuda.driver`` has, without a GPU or its driver.

PyCUDA builds from its source distribution wherever the CUDA headers are, but loads only beside the driver library.
Empty functions in place of those that it imports are enough to load it and list its classes. Run, with pycuda built
in FOLDER (``pip install --no-build-isolation --target FOLDER pycuda``):

    python tests/runtime/data/record_pycuda_api.py FOLDER > tests/runtime/data/pycuda_api.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CLASSES = ("Context", "Device", "DeviceAllocation", "PagelockedHostAllocation", "Stream")
LIST_NAMES = """
import json, sys
import pycuda, pycuda.driver as driver
names = {one: sorted(dir(getattr(driver, one))) for one in sys.argv[1:]}
names["module"] = sorted(dir(driver))
keep = lambda name: not name.startswith("_") or name == "__int__"
print(json.dumps({"version": pycuda.VERSION_TEXT, "names": {k: [n for n in v if keep(n)] for k, v in names.items()}}))
"""


def record(folder: Path) -> dict[str, object]:
    """List the names of the build in a folder."""
    (library,) = (folder / "pycuda").glob("_driver*.so")
    shown = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-1] for line in shown.splitlines()]
    with tempfile.TemporaryDirectory() as name:
        source, empty = Path(name) / "empty.c", Path(name) / "libcuda.so.1"
        functions = (f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols if symbol.startswith("cu"))
        source.write_text("".join(functions))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", empty, source], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(empty), "PYTHONPATH": str(folder)}
        command = [sys.executable, "-c", LIST_NAMES, *CLASSES]
        listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found: dict[str, object] = json.loads(listed)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(record(Path(sys.argv[1])), indent=1) + "\n")
