# SPDX-License-Identifier: Apache-2.0
"""halnorm.torch: the operators as PyTorch wants them, gradients against autograd in float64."""
import copy
import pickle

import ml_dtypes  # noqa: F401  # makes bfloat16 known to numpy
import numpy as np
import pytest

import cases

torch = pytest.importorskip("torch", exc_type=ImportError)
nn, F = torch.nn, torch.nn.functional
import halnorm.torch  # noqa: E402

OPERATORS = torch.ops.halnorm
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
each_case = pytest.mark.parametrize("case", cases.CASES, ids=cases.NAMES)


def function_of(case, module):
    """The function of `module`, of an input and its parameters."""
    function = getattr(module, case.operation)
    if case.operation == "batch_norm":
        return lambda x, *parameters: function(x, None, None, *parameters, training=True)
    if case.operation == "instance_norm":
        return lambda x, *parameters: function(x, None, None, *parameters)
    if case.operation == "rms_norm":
        return lambda x, weight, _: function(x, *case.arguments(), weight, cases.EPS)
    return lambda x, *parameters: function(x, *case.arguments(), *parameters)


def tensors(case, dtype=torch.float32):
    x, weight, bias, grad_output = (torch.from_numpy(a) for a in case.inputs())
    x, grad_output = x.to(dtype), grad_output.to(dtype)
    if x.dim() == 4:
        x = x.to(memory_format=torch.channels_last)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), grad_output


def operator_calls():
    for name, case in zip(cases.NAMES, cases.CASES):
        x, weight, bias, _ = tensors(case)
        if case.operation == "rms_norm":
            bias = ()
        elif case.operation == "batch_norm":
            running = torch.zeros(case.shape[1]), torch.ones(case.shape[1])
            yield name, OPERATORS.batch_norm_training, (x, *running, weight, bias, 0.1, 1e-5)
            yield name, OPERATORS.batch_norm_training, (x, None, None, weight, bias, 0.1, 1e-5)
            yield name, OPERATORS.batch_norm_inference, (x, *running, weight, bias, 1e-5)
            continue
        parameters = (weight,) if bias == () else (weight, bias)
        operator = getattr(OPERATORS, case.operation)
        yield name, operator, (x, *case.arguments(), *parameters, 1e-5)
        yield name, operator, (x.detach().bfloat16().requires_grad_(), *case.arguments(),
                               *(p.detach() for p in parameters), 1e-5)
        yield name, operator, (x, *case.arguments(), *[None] * len(parameters), 1e-5)


@pytest.mark.parametrize("operator, arguments", [call[1:] for call in operator_calls()],
                         ids=[call[0] for call in operator_calls()])
def test_opcheck(operator, arguments):
    torch.library.opcheck(operator.default, arguments)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@each_case
def test_gradients_are_those_of_float64_autograd(case, dtype):
    leaves = tensors(case, dtype)
    out = function_of(case, halnorm.torch)(*leaves[:3])
    assert out.dtype == dtype and out.stride() == leaves[0].stride()
    out.backward(leaves[3])
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves[:3]]
    expected = function_of(case, F)(*exact)
    expected.backward(leaves[3].double())
    x, weight, bias, grad_output = (leaf.detach().float().numpy() for leaf in leaves)
    reference = cases.Reference(case, x.astype(np.dtype(str(dtype)[6:])), weight, bias)
    cases.check(out.detach().float(), expected.detach().numpy(), reference.out_error())
    bounds = reference.gradients(grad_output, inherited=1)
    for leaf, leaf64, (_, error) in zip(leaves, exact, bounds):
        assert leaf.grad.dtype == leaf.dtype
        cases.check(leaf.grad.float(), leaf64.grad.numpy(), error)


def test_gradients_that_are_not_required():
    x, weight, bias, grad_output = tensors(cases.CASES[0])
    halnorm.torch.layer_norm(x.detach(), (33,), weight, bias.detach()).backward(grad_output)
    assert weight.grad is not None and x.grad is None and bias.grad is None
    assert not halnorm.torch.layer_norm(x.detach(), (33,)).requires_grad
    with torch.no_grad():
        assert not halnorm.torch.layer_norm(x, (33,)).requires_grad


def test_gradient_of_a_gradient_is_refused():
    x, weight, bias, _ = tensors(cases.CASES[0])
    out = halnorm.torch.layer_norm(x, (33,), weight, bias)
    gradient, = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="layer_norm_backward"):
        gradient.sum().backward()


@each_case
def test_compiled_as_one_graph(case):
    function = function_of(case, halnorm.torch)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for call in (function, compiled):
        leaves = tensors(case)
        out = call(*leaves[:3])
        out.backward(leaves[3])
        results.append([out.detach(), *(leaf.grad for leaf in leaves[:2])])
    for eager, other in zip(*results):
        assert torch.equal(eager, other)


def test_running_statistics_in_a_compiled_graph():
    eager = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.BatchNorm2d(6))
    model = copy.deepcopy(eager)
    assert halnorm.torch.replace_norms(model).replaced == ["0", "2"]
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 6, 5, 5)
    for _ in range(3):
        torch.testing.assert_close(compiled(x), eager(x), rtol=1e-5, atol=1e-5)
    for (name, expected), actual in zip(eager.state_dict().items(), model.state_dict().values()):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6, msg=name)
    model.eval(), eager.eval()
    torch.testing.assert_close(model(x), eager(x), rtol=1e-5, atol=1e-5)


NORMS = [
    (nn.LayerNorm(8), (4, 8)), (nn.LayerNorm((3, 8), elementwise_affine=False), (4, 3, 8)),
    (nn.LayerNorm(8, bias=False), (4, 8)), (nn.RMSNorm(8), (4, 8)),
    (nn.RMSNorm(8, eps=1e-3), (4, 8)), (nn.GroupNorm(2, 8), (4, 8, 5)),
    (nn.InstanceNorm1d(8, affine=True), (4, 8, 5)), (nn.InstanceNorm1d(8), (8, 5)),
    (nn.InstanceNorm2d(8), (4, 8, 5, 3)), (nn.InstanceNorm3d(8), (4, 8, 5, 3, 2)),
    (nn.BatchNorm1d(8, eps=0.5), (4, 8)), (nn.BatchNorm1d(8, momentum=None), (4, 8, 5)),
    (nn.BatchNorm2d(8, track_running_stats=False), (4, 8, 5, 3)),
    (nn.BatchNorm3d(8, affine=False), (4, 8, 5, 3, 2)),
]


@pytest.mark.parametrize("module, shape", NORMS, ids=[str(norm[0]) for norm in NORMS])
def test_replaced_module_is_the_same(module, shape):
    original = nn.Sequential(copy.deepcopy(module))
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.normal_()
    model = copy.deepcopy(original)
    hooked = []
    model[0].register_forward_hook(lambda *_: hooked.append(True))
    assert halnorm.torch.replace_norms(model) == (["0"], {})
    assert halnorm.torch.replace_norms(model) == ([], {})
    assert isinstance(model[0], type(module)) and str(model) == str(original)
    assert list(model.state_dict()) == list(original.state_dict())
    for training in (True, True, False):
        model.train(training), original.train(training)
        x = torch.randn(shape)
        out, expected = model(x), original(x)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
        if expected.requires_grad:
            out.square().sum().backward(), expected.square().sum().backward()
    assert len(hooked) == 3
    assert type(model[0]).__module__.startswith("halnorm.")
    for state, expected in zip(model.state_dict().values(), original.state_dict().values()):
        torch.testing.assert_close(state, expected, rtol=1e-5, atol=1e-5)
    for parameter, expected in zip(model.parameters(), original.parameters()):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-4, atol=1e-4)
    again = copy.deepcopy(original)
    halnorm.torch.replace_norms(again)
    assert type(pickle.loads(pickle.dumps(again))[0]) is type(model[0])


class OwnNorm(nn.LayerNorm):
    def forward(self, input):
        return input


class OtherNorm(nn.Module):
    pass


def with_own_forward():
    module = nn.LayerNorm(4)
    module.forward = lambda input: input
    return module


LEFT = [
    (nn.SyncBatchNorm(4), "SyncBatchNorm"), (nn.LazyBatchNorm2d(), "not initialized"),
    (OwnNorm(4), "subclass of LayerNorm"), (OtherNorm(), "no class that halnorm knows"),
    (nn.LocalResponseNorm(2), "no class that halnorm knows"),
    (nn.InstanceNorm2d(4, track_running_stats=True), "tracks running statistics"),
    (nn.LayerNorm(4, dtype=torch.float64), "torch.float64"),
    (nn.LayerNorm(4, device="meta"), "device meta"),
    (nn.BatchNorm2d(4, dtype=torch.bfloat16), "running statistics of torch.bfloat16"),
    (nn.BatchNorm2d(4, momentum=1.5), "momentum of 1.5"),
    (with_own_forward(), "forward of its own"),
]


@pytest.mark.parametrize("module, reason", LEFT, ids=[case[1] for case in LEFT])
def test_module_that_is_left_says_why(module, reason):
    model = nn.Sequential(nn.Linear(4, 4), module)
    kind = type(module)
    replaced, left = halnorm.torch.replace_norms(model)
    assert replaced == [] and list(left) == ["1"] and reason in left["1"]
    assert type(module) is kind


def test_model_that_is_a_norm():
    model = nn.LayerNorm(4)
    assert halnorm.torch.replace_norms(model).replaced == [""]


def test_functions_have_the_arguments_of_torch():
    import inspect
    for name in ("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm"):
        expected = inspect.signature(getattr(F, name)).parameters
        for module in (halnorm, halnorm.torch):
            actual = inspect.signature(getattr(module, name)).parameters
            positional = [p for p in actual.values() if p.kind is not p.KEYWORD_ONLY]
            assert [p.name for p in positional] == list(expected), name
            assert [p.default for p in positional] == [p.default for p in expected.values()], name
