# SPDX-License-Identifier: Apache-2.0
"""The machine code of a kernel object, as instructions and innermost loops.

Look at the same code by hand with
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o
"""
import re
import subprocess
from collections import namedtuple

Instruction = namedtuple("Instruction", "address mnemonic operands")
Function = namedtuple("Function", "name instructions")

# What an instruction does with vector registers, the same for all instruction sets (x86_code.py,
# aarch64_code.py). arithmetic: what it computes in floating point (add, mul, ...), or None. width:
# the class of the registers that it works on (zmm, q, ...), scalar for one element. sources: the
# numbers of vector registers and the Places that it reads. result: the register or the Place that
# it writes, or None. copies: it moves a whole vector as it is. few: it moves one or two elements
# between memory and a vector, and is no load for all lanes of one.
Operation = namedtuple("Operation", "text arithmetic width sources result copies few")
# In memory. fixed: the same in each step of the loop, as far as registers of the address tell.
Place = namedtuple("Place", "address stack fixed")

PREFETCH = re.compile(r"prefetch|prfm$")

_LABEL = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+): *\t(\S+)(?:\s+(.*))?$")
_COMMENT = re.compile(r"\s+(#|//) ")
_TARGET = re.compile(r"(?:0x)?([0-9a-f]+)(?: <.*>)?$")
_JUMP = re.compile(r"j|"                             # x86
                   r"(b(\..+)?|cbn?z|tbn?z)$")       # aarch64
_END_OF_FLOW = re.compile(r"(ret|jmp|ud2|hlt)|"      # x86; ret of both
                          r"(b|br|brk|udf)$")        # aarch64
_VECTOR_REGISTER = re.compile(r"%[xyz]mm|"           # x86
                              r"\b[vqdshb][0-9]")    # aarch64
# Prefixes that objdump prints as the first word of an instruction.
_PREFIXES = {"rep", "repz", "repnz", "lock", "notrack", "data16"}


def functions(objdump, path, *flags):
    """The functions of an object file."""
    text = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", *flags, path],
        check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    found = []
    for line in text.splitlines():
        label = _LABEL.match(line)
        if label:
            found.append(Function(label.group(1), []))
            continue
        match = _INSTRUCTION.match(line)
        if not match or not found:
            continue
        mnemonic, operands = match.group(2), _COMMENT.split(match.group(3) or "")[0]
        if mnemonic in _PREFIXES and operands:
            mnemonic, _, operands = operands.partition(" ")
        found[-1].instructions.append(
            Instruction(int(match.group(1), 16), mnemonic, operands.strip()))
    return found


def branch_target(instruction):
    """Where a jump goes, as an address; None for what is no jump or has no fixed target."""
    if not _JUMP.match(instruction.mnemonic):
        return None
    match = _TARGET.match(instruction.operands.split(", ")[-1])
    return int(match.group(1), 16) if match else None


def _ends_flow(instruction):
    return _END_OF_FLOW.match(instruction.mnemonic)


def _successors(instructions):
    """Basic blocks as (first, last) index, and for each the blocks that may follow it."""
    at = {instruction.address: k for k, instruction in enumerate(instructions)}
    leaders = {0}
    for k, instruction in enumerate(instructions):
        target = branch_target(instruction)
        if target in at:
            leaders.add(at[target])
        if target is not None or _ends_flow(instruction):
            leaders.add(k + 1)
    starts = sorted(k for k in leaders if k < len(instructions))
    block_at = {start: b for b, start in enumerate(starts)}
    blocks = list(zip(starts, [k - 1 for k in starts[1:]] + [len(instructions) - 1]))
    edges = []
    for b, (_, last) in enumerate(blocks):
        follow = set()
        target = branch_target(instructions[last])
        if target in at:
            follow.add(block_at[at[target]])
        if not _ends_flow(instructions[last]) and b + 1 < len(blocks):
            follow.add(b + 1)
        edges.append(follow)
    return blocks, edges


def _components(nodes, edges):
    """The strongly connected components of a graph (Tarjan 1972), without recursion."""
    index, low, on_stack, stack, result = {}, {}, set(), [], []
    for root in sorted(nodes):
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root] & nodes)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, follow = work[-1]
            step = next(follow, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = set()
                    while node not in component:
                        component.add(stack.pop())
                    on_stack -= component
                    result.append(component)
            elif step not in index:
                index[step] = low[step] = len(index)
                stack.append(step)
                on_stack.add(step)
                work.append((step, iter(sorted(edges[step] & nodes))))
            elif step in on_stack:
                low[node] = min(low[node], index[step])
    return result


def _innermost(nodes, edges, counts):
    found = []
    for component in _components(nodes, edges):
        if len(component) == 1 and not any(n in edges[n] for n in component):
            continue
        # The loop's header is where it is entered from outside; without it only inner loops remain.
        entries = {n for n in component
                   if any(n in edges[m] for m in range(len(edges)) if m not in component)}
        inside = component - (entries or {min(component)})
        inner = _innermost(inside, edges, counts)
        if inner or counts(component):
            found.extend(inner or [component])
    return found


def innermost_loops(function):
    """Each loop without a loop in it, as its instructions in the order of their addresses.

    A loop that only prefetches what the loop around it will read is part of that one.
    """
    instructions = function.instructions
    blocks, edges = _successors(instructions)

    def code(component):
        return [instruction for b in sorted(component)
                for instruction in instructions[blocks[b][0]:blocks[b][1] + 1]]

    def counts(component):
        loop = code(component)
        return any(_VECTOR_REGISTER.search(one.operands) for one in loop) or \
            not any(PREFETCH.match(one.mnemonic) for one in loop)

    loops = [code(component) for component in _innermost(set(range(len(blocks))), edges, counts)]
    return sorted(loops, key=lambda loop: loop[0].address)
