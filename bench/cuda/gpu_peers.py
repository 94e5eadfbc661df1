# SPDX-License-Identifier: Apache-2.0
"""Peers with kernels for rows on GPUs, on tensors of PyTorch. Each is a function of a problem, its
views by name and its workload that gives a TorchCall, or raises Unsupported. All but Triton's are
called as their sources of August 2026 have them."""
from torch_peers import TorchCall, Unsupported


def _rows(p, views):
    """The views, those of elements as a matrix."""
    if p.norm not in ("layer", "rms"):
        raise Unsupported("it has layer and RMS norm only")
    length = p.shape[-1]
    return {name: view.reshape(-1, length) if name in ("x", "dy", "y") else
            view.reshape(-1) if name in ("mean", "rstd") else view for name, view in views.items()}


def _need(condition, what):
    if not condition:
        raise Unsupported(what)


def triton_tutorial(p, views, workload):
    _need(p.operation == "layer_norm_forward", "layer norm, forward only")
    import triton_layer_norm
    v = views.get

    def run():
        triton_layer_norm.forward(v("x"), v("gamma"), v("beta"), v("y"), v("mean"), v("rstd"), p.eps)
        return [v(name) for name in workload.written]
    return TorchCall(run, [], list(workload.written), workload)


def liger(p, views, workload):
    v = _rows(p, views)
    _need("gamma" in p, "it has gamma always")
    if p.norm == "layer":
        from liger_kernel.ops.layer_norm import layer_norm_backward, layer_norm_forward
        if p.is_backward:
            return TorchCall(layer_norm_backward, [v["dy"], v["x"], v["gamma"], v["gamma"], v["mean"],
                                                   v["rstd"]], ["dx", "dgamma", "dbeta"], workload)
        _need("beta" in p, "it has beta always")
        return TorchCall(layer_norm_forward, [v["x"], v["gamma"], v["beta"], p.eps],
                         ["y", "", "mean", "rstd"], workload)
    from liger_kernel.ops.rms_norm import rms_norm_backward, rms_norm_forward
    from liger_kernel.ops.utils import calculate_settings
    in_f32 = "gemma"  # all arithmetic, as halnorm's
    if p.is_backward:
        block, warps = calculate_settings(p.shape[-1])
        from liger_kernel.ops.rms_norm import _str_to_casting_mode
        return TorchCall(rms_norm_backward, [v["dy"], v["x"], v["gamma"], v["rstd"], 0.0,
                                             _str_to_casting_mode[in_f32], block, warps, False, None],
                         ["dx", "dgamma"], workload)
    return TorchCall(rms_norm_forward, [v["x"], v["gamma"], p.eps, 0.0, in_f32, None],
                     ["y", "", "rstd"], workload)


def quack(p, views, workload):
    v = _rows(p, views)
    from quack import rmsnorm
    if p.norm == "rms":
        if p.is_backward:
            return TorchCall(rmsnorm.rmsnorm_bwd, [v["x"], v.get("gamma"), v["dy"], v["rstd"]],
                             ["dx", "dgamma"], workload)
        stored = "statistics" in p
        return TorchCall(lambda x, gamma: rmsnorm.rmsnorm_fwd(x, gamma, eps=p.eps, store_rstd=stored),
                         [v["x"], v.get("gamma")], ["y", "", "rstd"] if stored else ["y"], workload)
    _need("gamma" in p and p.parameter_dtype == "f32", "its layer norm has gamma in f32 always")
    if p.is_backward:
        return TorchCall(lambda x, gamma, dy, rstd, mean: rmsnorm.layernorm_bwd(
            x, gamma, dy, rstd, mean, has_bias="dbeta" in p),
            [v["x"], v["gamma"], v["dy"], v["rstd"], v["mean"]], ["dx", "dgamma", "dbeta"], workload)
    stored = "statistics" in p

    def forward(x, gamma, beta):
        result = rmsnorm.layernorm_fwd(x, gamma, beta, p.eps, return_rstd=stored, return_mean=stored)
        return result if stored else (result,)
    return TorchCall(forward, [v["x"], v["gamma"], v.get("beta")], ["y", "rstd", "mean"], workload)


def flashinfer(p, views, workload):
    v = _rows(p, views)
    _need(not p.is_backward and "statistics" not in p, "forward without statistics only")
    _need("gamma" in p, "it has gamma always")
    from flashinfer import norm
    if p.norm == "rms":
        _need(p.parameter_dtype == p.dtype and p.dtype != "f32", "16 bits only, gamma, too")
        return TorchCall(lambda x, gamma, y: (norm.rmsnorm(x, gamma, p.eps, out=y),),
                         [v["x"], v["gamma"], v["y"]], ["y"], workload)
    _need(p.dtype == "bf16" and p.parameter_dtype == "f32" and "beta" in p,
          "its layer norm is of bf16 with gamma and beta in f32")
    return TorchCall(lambda x, gamma, beta: (norm.layernorm(x, gamma, beta, p.eps),),
                     [v["x"], v["gamma"], v["beta"]], ["y"], workload)


# Name: the module that it takes, and the function.
PEERS = {"Triton's tutorial": ("triton", triton_tutorial), "Liger-Kernel": ("liger_kernel", liger),
         "quack": ("quack", quack), "FlashInfer": ("flashinfer", flashinfer)}
