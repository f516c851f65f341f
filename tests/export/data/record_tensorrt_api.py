"""Record which names the Python bindings of a TensorRT release have, without its libraries.

The bindings install from PyPI alone, but load only beside TensorRT's own libraries. Empty libraries of the same names,
with the few C functions that the bindings import, are enough to load them and list their classes. Run:

    pip download --no-deps -d wheels tensorrt-cu12-bindings==10.3.0
    python tests/export/data/record_tensorrt_api.py wheels/*.whl > tests/export/data/tensorrt_api.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CLASSES = (
    "Builder",
    "BuilderFlag",
    "DataType",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IRuntimeConfig",
    "ITimingCache",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "TensorIOMode",
)
LIST_NAMES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt
names = {one: sorted(dir(getattr(trt, one))) for one in sys.argv[2:] if hasattr(trt, one)}
names["module"] = [one for one in sorted(dir(trt)) if one[:1].isupper() or one == "__version__"]
keep = lambda name: not name.startswith("_") or name == "__version__"
print(json.dumps({"version": trt.__version__, "names": {k: [n for n in v if keep(n)] for k, v in names.items()}}))
"""


def _needed(library: Path) -> list[str]:
    shown = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\[(libnv\w+\.so[.\d]*)\]", shown)


def _undefined(library: Path) -> list[str]:
    shown = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-1] for line in shown.splitlines() if " U " in line]
    return [name for name in symbols if "@" not in name and not name.startswith(("Py", "_Py", "_Z", "__"))]


def record(wheel: Path) -> dict[str, object]:
    """List the names of one wheel's bindings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)  # a wheel of PyPI, named by hand
        library = folder / "tensorrt_bindings" / "tensorrt.so"
        source = folder / "empty.c"
        source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in _undefined(library)))
        for needed in _needed(library):
            command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{needed}", "-o", folder / needed, source]
            subprocess.run(command, check=True)
        shown = subprocess.run(
            [sys.executable, "-c", LIST_NAMES, folder, *CLASSES],
            env={"LD_LIBRARY_PATH": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
    return {"wheel": wheel.name, **json.loads(shown.stdout)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([record(Path(wheel)) for wheel in sorted(sys.argv[1:])], indent=1) + "\n")
