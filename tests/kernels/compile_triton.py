"""Compiles each Triton kernel for an H100, without one, and prints what ptxas says of it, a line each.

Run as ``python tests/kernels/compile_triton.py``, without TRITON_INTERPRET.
"""

import contextlib
import inspect
import io
import os
import re
import tempfile

os.environ |= {"TRITON_DUMP_PTXAS_LOG": "1", "TRITON_ALWAYS_COMPILE": "1"}

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mlet_bench.kernels.triton import batch, interaction, layers, lookup, loss, update
from mlet_bench.kernels.triton.blocks import FUSED

# The other tensors are of float32.
TYPES = dict.fromkeys(("ids", "out_ids", "order"), "*i32") | dict.fromkeys(("starts", "order_of", "places"), "*i64")
B, F = 128, 26
CASES = ((16, 64, F + 1), (128, 128, interaction.MOST_VECTORS))  # d, k and V: the paper's middle, and the widest


def compiled(kernel, constants, options=FUSED, absent=()) -> str:
    """Registers, bytes that spill, and instructions that round to TF32; ``absent``: tensors that are None."""
    names = list(inspect.signature(kernel.fn).parameters)
    known = dict(zip(names[-len(constants) :], constants, strict=True)) | dict.fromkeys(absent)
    signature = {name: "constexpr" if name in known else TYPES.get(name, "*fp32") for name in names}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if name not in known}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in known.items()}, aligned)
    with contextlib.redirect_stdout(io.StringIO()) as log:
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    registers = re.search(r"Used (\d+) registers", log.getvalue())[1]
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", log.getvalue())))
    return f"{kernel.__name__} {registers} {spilled} {made.asm['ptx'].count('tf32')} # {known}"


def main() -> None:
    """Compile them all."""
    with tempfile.TemporaryDirectory() as cache:
        triton.knobs.cache.dir = cache
        for dim, width, count in CASES:
            print(compiled(lookup.lookup_kernel, lookup.constants(B, F, width, dim)))
            print(compiled(lookup.lookup_kernel, lookup.constants(B, F, dim, dim), absent=("w2",)))
            for squares in ((), ("squares",)):  # Adagrad, SGD
                of_mlet, of_single = (update.constants(B, F, wide, dim, 1e-10) for wide in (width, dim))
                print(compiled(update.update_kernel, of_mlet, update.OPTIONS, squares))
                print(compiled(update.update_kernel, of_single, update.OPTIONS, ("w2", "grad_w2", *squares)))
            given = interaction.constants(count, dim), interaction.options(count)
            print(compiled(interaction.interact_kernel, *given))
            print(compiled(interaction.interact_back_kernel, *given))
        for absent in ((), ("order_of",)):
            print(compiled(batch.batch_kernel, batch.constants(10, 45_000_000, B, 13, F), batch.OPTIONS, absent))
        print(compiled(layers.bias_relu_kernel, layers.bias_constants(B, 512)))
        print(compiled(layers.bias_relu_back_kernel, layers.back_constants(B, 512)))
        for size in (B, 16384):
            print(compiled(loss.loss_kernel, loss.constants(size, True)))


if __name__ == "__main__":
    main()
