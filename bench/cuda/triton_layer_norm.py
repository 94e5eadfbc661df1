# SPDX-License-Identifier: Apache-2.0
"""Layer norm as a user of Triton writes it, after the idea of its tutorial on layer norm: a program
has a row, which it holds in registers from the one load to the one store."""
import triton
import triton.language as tl


@triton.jit
def _forward(x, gamma, beta, y, mean, rstd, length, eps, HELD: tl.constexpr,
             HAS_GAMMA: tl.constexpr, HAS_BETA: tl.constexpr, HAS_STATISTICS: tl.constexpr):
    row = tl.program_id(0)
    begin = row.to(tl.int64) * length
    at = tl.arange(0, HELD)
    inside = at < length
    held = tl.load(x + begin + at, mask=inside, other=0.0).to(tl.float32)
    center = tl.sum(held, axis=0) / length
    deviation = tl.where(inside, held - center, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(deviation * deviation, axis=0) / length + eps)
    if HAS_STATISTICS:
        tl.store(mean + row, center)
        tl.store(rstd + row, scale)
    result = deviation * scale
    if HAS_GAMMA:
        result = result * tl.load(gamma + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_BETA:
        result = result + tl.load(beta + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + begin + at, result.to(y.dtype.element_ty), mask=inside)


def forward(x, gamma, beta, y, mean, rstd, eps):
    """Of the last dimension of dense tensors of PyTorch; gamma, beta, mean and rstd may be None."""
    length = x.shape[-1]
    held = triton.next_power_of_2(length)
    # 8 elements or more a thread, as far as 8 warps reach.
    warps = min(max(held // 256, 1), 8)
    _forward[(x.numel() // length,)](
        x, gamma, beta, y, mean, rstd, length, eps, HELD=held, HAS_GAMMA=gamma is not None,
        HAS_BETA=beta is not None, HAS_STATISTICS=mean is not None, num_warps=warps)
