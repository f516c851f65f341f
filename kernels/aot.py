"""Ahead-of-time compilation of every Triton kernel for every target, without a GPU: registers, spills, shared memory.

``python -m edgefuse.kernels.aot`` compiles everything, prints one line a kernel, configuration and target, and exits
with 1 where a kernel spills or asks for more shared memory than its target has. Run it without ``TRITON_INTERPRET``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgefuse.errors import EdgeFuseError, MissingDependencyError, UsageError

__all__ = ["SHARED_LIMIT_BYTES", "TARGETS", "Case", "Report", "cases", "compile_case", "main"]

SHARED_LIMIT_BYTES = {
    75: 64 * 1024,
    80: 163 * 1024,
    86: 99 * 1024,
    87: 163 * 1024,
    89: 99 * 1024,
    90: 227 * 1024,
    120: 99 * 1024,
}
"""Shared memory that one program may have, by compute capability (CUDA C++ Programming Guide, compute capabilities)."""

TARGETS = tuple(SHARED_LIMIT_BYTES)
"""Turing, A100, RTX 30, Jetson Orin, RTX 40, H100 and H200, RTX 50."""


@dataclass(frozen=True)
class Case:
    """One kernel with the constants and types that a launch gives it.

    Attributes:
        name: Operation, constants and types in one word.
        kernel: The ``triton.jit`` function.
        types: Triton type of each argument that is no constant, as in ``"*fp32"`` and ``"i32"``.
        constants: Value of each ``tl.constexpr``.
        num_warps: Warps a program.
        num_stages: Depth of software pipelines.
        max_registers: Registers that the assembler may give a thread, where the launch says so.
        fast: Whether continuous integration compiles it; the rest is compiled by the command.
        divisible: Integer arguments that are multiples of 16 in this launch, which lets loads be wider.
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    num_warps: int
    num_stages: int = 1
    max_registers: int | None = None
    fast: bool = False
    divisible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a compiled kernel needs of its target."""

    name: str
    capability: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    shared_limit_bytes: int
    problems: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        problems = []
        if self.spilled_bytes > 0:
            problems.append(f"spills {self.spilled_bytes} bytes a thread")
        if self.shared_bytes > self.shared_limit_bytes:
            problems.append(f"wants {self.shared_bytes} bytes of shared memory, {self.shared_limit_bytes} are there")
        object.__setattr__(self, "problems", tuple(problems))


@functools.cache
def cases() -> tuple[Case, ...]:
    """Every kernel in every configuration that a launch can choose.

    Raises:
        MissingDependencyError: Triton is not installed.
        EdgeFuseError: Triton was imported to interpret, which leaves nothing to compile.
    """
    try:
        import triton
    except ImportError as error:
        raise MissingDependencyError.for_package("triton", extra="train", purpose="compile kernels") from error
    from edgefuse.kernels.gradient_loss.aot_cases import aot_cases as of_gradient_loss
    from edgefuse.kernels.spectral_conv.aot_cases import aot_cases as of_spectral_conv
    from edgefuse.kernels.ssim.aot_cases import aot_cases as of_ssim

    found = (*of_gradient_loss(), *of_spectral_conv(), *of_ssim())
    if not isinstance(found[0].kernel, triton.JITFunction):
        raise EdgeFuseError("kernels cannot be compiled under TRITON_INTERPRET=1; unset it")
    return found


def compile_case(case: Case, capability: int) -> Report:
    """Compile one case for one target and read what it needs from the machine code.

    Args:
        case: The kernel and its configuration.
        capability: Compute capability without the dot, one of ``TARGETS``.

    Returns:
        Registers, spilled bytes and shared memory.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = [parameter.name for parameter in case.kernel.params]
    signature = {name: "constexpr" if name in case.constants else case.types[name] for name in names}
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, name in enumerate(names)
        if signature[name].startswith("*") or name in case.divisible
    }
    compiled = triton.compile(
        ASTSource(fn=case.kernel, signature=signature, constexprs=dict(case.constants), attrs=aligned),
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": case.num_warps,
            "num_stages": case.num_stages,
            "maxnreg": case.max_registers,
            "enable_fp_fusion": True,
        },
    )
    registers, stack = _resources(compiled.asm["cubin"])
    shared = int(compiled.metadata.shared)
    return Report(case.name, capability, registers, stack, shared, SHARED_LIMIT_BYTES[capability])


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers a thread, and bytes of stack a thread, which is where spills go."""
    import triton

    cuobjdump = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        dump = subprocess.run([str(cuobjdump), "--dump-resource-usage", str(path)], capture_output=True, check=True)
    match = re.search(r"REG:(\d+) STACK:(\d+)", dump.stdout.decode())
    if match is None:
        raise EdgeFuseError(f"cuobjdump reported no resource usage: {dump.stdout.decode().strip()[:200]}")
    return int(match[1]), int(match[2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile cases, print their reports and return the exit code: 1 where a kernel has a problem.

    Args:
        arguments: Command line, that of the process where None.

    Returns:
        0 where every kernel fits every target, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m edgefuse.kernels.aot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", action="append", metavar="SM", help="as in sm_86; all of them by default")
    parser.add_argument("--kernel", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--fast", action="store_true", help="only the cases that continuous integration compiles")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that compile side by side")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    options = parser.parse_args(arguments)
    targets = [_capability(target) for target in options.target] if options.target else list(TARGETS)
    chosen = [case for case in cases() if options.kernel in case.name and (case.fast or not options.fast)]
    reports = []
    with _pool(options.jobs) as run:
        for report in run(_compile_named, itertools.product((case.name for case in chosen), targets)):
            reports.append(report)
            if not options.json:
                _print(report)
    if options.json:
        _write(json.dumps({"schema_version": 1, "kernels": [asdict(report) for report in reports]}, indent=2))
    return 1 if _failed(reports) else 0


@contextlib.contextmanager
def _pool(jobs: int) -> Iterator[Callable[..., Iterable[Report]]]:
    """Something like ``map``, in this process or over several forked ones."""
    if jobs < 2:
        yield map
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield pool.imap


def _compile_named(work: tuple[str, int]) -> Report:
    """Compile a case that is sent to another process by its name, since compiled functions cannot be sent."""
    name, capability = work
    return compile_case(next(case for case in cases() if case.name == name), capability)


def _capability(target: str) -> int:
    """The number of a target, as in 86 for ``sm_86``."""
    number = target.removeprefix("sm_")
    if not number.isdigit() or int(number) not in TARGETS:
        allowed = ", ".join(f"sm_{capability}" for capability in TARGETS)
        raise UsageError(f"--target must be one of {allowed}, got {target!r}")
    return int(number)


def _failed(reports: Iterable[Report]) -> bool:
    return any(report.problems for report in reports)


def _print(report: Report) -> None:
    state = "; ".join(report.problems) or "ok"
    _write(
        f"{report.name:<60} sm_{report.capability:<4} {report.registers:>3} registers "
        f"{report.shared_bytes:>6} bytes shared  {state}"
    )


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeFuseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
