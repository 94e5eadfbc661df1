# SPDX-License-Identifier: Apache-2.0
"""PyTorch's operators on the tensors of a workload: those behind torch.nn.functional where they give
the statistics, else torch.nn.functional itself."""


class Unsupported(Exception):
    """A peer does not have this problem; the message says what it lacks."""


def _layer_norm(torch, p, v):
    shape = list(p.parameter_shape)
    if p.is_backward:
        # The last one but the mask stands for beta, of which only the shape counts.
        mask = [True, "dgamma" in p, "dbeta" in p]
        return (lambda dy, x, mean, rstd, gamma: torch.ops.aten.native_layer_norm_backward(
            dy, x, shape, mean, rstd, gamma, gamma, mask),
            "dy x mean rstd gamma", "dx dgamma dbeta")
    return (lambda x, gamma, beta: torch.native_layer_norm(x, shape, gamma, beta, p.eps),
            "x gamma beta", "y mean rstd")


def _rms_norm(torch, p, v):
    shape = list(p.parameter_shape)
    if p.is_backward:
        mask = [True, "dgamma" in p]
        return (lambda dy, x, rstd, gamma: torch.ops.aten._fused_rms_norm_backward(
            dy, x, shape, rstd, gamma, mask), "dy x rstd gamma", "dx dgamma")
    return (lambda x, gamma: torch.ops.aten._fused_rms_norm(x, shape, gamma, p.eps), "x gamma",
            "y rstd")


def _group_norm(torch, p, v):
    samples, channels = p.shape[:2]
    sizes = (samples, channels, v["x"][0, 0].numel(), p.groups)
    if p.is_backward:
        mask = [True, "dgamma" in p, "dbeta" in p]
        return (lambda dy, x, mean, rstd, gamma: torch.ops.aten.native_group_norm_backward(
            dy, x, mean, rstd, gamma, *sizes, mask), "dy x mean rstd gamma", "dx dgamma dbeta")
    if p.channels_last:
        return (lambda x, gamma, beta: (torch.nn.functional.group_norm(
            x, p.groups, gamma, beta, p.eps),), "x gamma beta", "y")
    return (lambda x, gamma, beta: torch.ops.aten.native_group_norm(
        x, gamma, beta, *sizes, p.eps), "x gamma beta", "y mean rstd")


def _instance_norm(torch, p, v):
    if p.is_backward:
        raise Unsupported("its backward is that of a batch norm of repeated channels")
    return (lambda x, gamma, beta: (torch.nn.functional.instance_norm(
        x, None, None, gamma, beta, eps=p.eps),), "x gamma beta", "y")


def _batch_norm(torch, p, v):
    if p.is_backward:
        mask = [True, "dgamma" in p, "dbeta" in p]
        return (lambda dy, x, mean, rstd, gamma: torch.ops.aten.native_batch_norm_backward(
            dy, x, gamma, None, None, mean, rstd, True, p.eps, mask),
            "dy x mean rstd gamma", "dx dgamma dbeta")
    training = p.operation == "batch_norm_training"
    return (lambda x, running_mean, running_var, gamma, beta: (torch.nn.functional.batch_norm(
        x, running_mean, running_var, gamma, beta, training, p.momentum, p.eps),),
        "x running_mean running_var gamma beta", "y")


_OPERATORS = {"layer": _layer_norm, "rms": _rms_norm, "group": _group_norm,
              "instance": _instance_norm, "batch": _batch_norm}


class TorchCall:
    """A function of the tensors of a workload that returns its results in the order of `names`."""

    def __init__(self, function, inputs, names, workload):
        self._function, self._inputs, self._names = function, inputs, names
        self._workload, self._returned = workload, ()

    def run(self):
        self._returned = self._function(*self._inputs)

    def results(self):
        """What was asked for, in float64. Running statistics are updated where they are; mean and rstd
        that are not f32, as halnorm's are, cannot be held to the same bound."""
        workload = self._workload
        found = {name: tensor.double() for name, tensor in zip(self._names, self._returned)
                 if name in workload.written
                 and (name not in ("mean", "rstd") or tensor.element_size() == 4)}
        found.update((name, tensor) for name, tensor in workload.results().items()
                     if name.startswith("running_"))
        missing = [name for name in ("y", "dx", "dgamma", "dbeta")
                   if name in workload.written and name not in found]
        if missing:
            raise Unsupported("it gives no %s" % ", ".join(missing))
        return found


def calls(torch, workload, views):
    """(name, what makes its TorchCall) of PyTorch as it is and compiled. Making one may raise
    Unsupported."""
    def eager():
        function, inputs, names = _OPERATORS[workload.problem.norm](torch, workload.problem, views)
        return TorchCall(function, [views.get(name) for name in inputs.split()], names.split(),
                         workload)

    def compiled():
        call = eager()
        # What was compiled for other shapes would count against the limit of recompilations.
        torch._dynamo.reset()
        call._function = torch.compile(call._function, dynamic=False, fullgraph=True)
        return call
    return [("PyTorch", eager), ("PyTorch, compiled", compiled)]
