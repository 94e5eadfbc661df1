# SPDX-License-Identifier: Apache-2.0
"""What is compared on a problem: halnorm, its schedules, and the limit. The peers are in torch_peers.py
and gpu_peers.py. Kinds are those of the JSON of halnorm_bench."""
from dataclasses import dataclass, field
from typing import Callable, Optional

from driver import DriverError
from library import Call, HalnormError, Symbol


@dataclass
class Contender:
    kind: str
    name: str
    detail: str = ""
    trouble: str = ""                 # why it is not timed
    run: Optional[Callable] = None    # puts its work on the stream
    results: Optional[Callable] = None  # by name; those of the tensors of the workload if none
    seconds: list = field(default_factory=list)  # one for each round

    @property
    def is_own(self):
        return self.kind in ("tuned_rows", "other_row")


def _check_own(contender, workload, bits):
    """Against the reference, and, bit for bit, against the library's own choice of rows."""
    wrong = workload.check(workload.results(), any_order=False)
    if not wrong and bits is not None:
        own = workload.bits()
        wrong = next(("wrong: %s has other bits than that of the tuned rows" % name
                      for name, of_tuned in bits.items()
                      if not workload.arrays.same(own[name], of_tuned)), "")
    contender.trouble = wrong


def _tuned(library, device, workload):
    contender = Contender("tuned_rows", "tuned rows")
    try:
        call = Call(library, device, workload.problem, workload.tensors)
        workload.forget_results()
        contender.detail, contender.run = call.run_first(), call.run
        _check_own(contender, workload, None)
    except (HalnormError, DriverError) as error:
        contender.trouble = "failed: %s" % error
    return contender


def _row(library, device, workload, kernel, bits):
    """None where the kernel does not run when it is asked for: it cannot serve the problem."""
    symbol = Symbol(kernel)
    contender = Contender("other_row", "row %s" % symbol.description(), kernel)
    try:
        call = Call(library, device, workload.problem, workload.tensors, kernel)
        workload.forget_results()
        if call.run_first() != kernel:
            return None
        contender.run = call.run
        _check_own(contender, workload, bits)
    except (HalnormError, DriverError) as error:
        contender.trouble = "failed: %s" % error
    return contender


def append_halnorm(contenders, library, device, workload):
    """The rows that the library chooses, then each other row of its last part, then, where that is a
    whole norm, the same in stages."""
    tuned = _tuned(library, device, workload)
    contenders.append(tuned)
    if tuned.trouble:
        return
    bits = workload.bits()
    chosen = Symbol(tuned.detail)
    for kernel in library.kernels():
        if Symbol(kernel).choice == chosen.choice and kernel != tuned.detail:
            row = _row(library, device, workload, kernel, bits)
            if row is not None:
                contenders.append(row)
    for kernel in library.kernels():
        # A stage, which makes the call run in stages. Any of them does.
        other = Symbol(kernel)
        if other.dtype != chosen.dtype or "_cuda_norm" in other.part or "_cuda_norm" not in chosen.part:
            continue
        row = _row(library, device, workload, kernel, bits)
        if row is not None:
            row.name = "in stages"
            contenders.append(row)
            return


def limit(device, workload):
    """A copy on the device that reads and writes as many bytes as the problem has to."""
    size = workload.problem.traffic // 2
    source, target = device.allocate(size), device.allocate(size)
    source.fill(0)
    return Contender("limit", "copy", "%d bytes read, as many written" % size,
                     run=lambda: target.copy_from(source))


def check_peer(contender, workload):
    """Runs it for the first time, which may compile it."""
    try:
        workload.forget_results()
        contender.run()
        wrong = workload.check(contender.results(), any_order=True)
    except Exception as error:  # of whatever library
        wrong = "failed: %s: %s" % (type(error).__name__, str(error).strip().split("\n")[0][:160])
    contender.trouble = wrong
