# SPDX-License-Identifier: Apache-2.0
"""What AArch64 instructions do with vectors: a disassembly.Operation for each, and for each
register of a load or store of several."""
import re
from collections import Counter

from disassembly import Operation, Place

_ARITHMETIC = re.compile(r"^f(addp?|sub|n?mul|div|sqrt|max(?:nm)?|min(?:nm)?)$")
_BYTES = {"q": 16, "v": 16, "d": 8, "s": 4, "h": 2, "b": 1}
_REGISTER = re.compile(r"\b([qdshbv])(\d+)")
_MEMORY = re.compile(r"(?P<registers>.*?),? ?\[(?P<base>x\d+|sp)(?:, (?P<index>[^\]]*))?\]"
                     r"(?P<writeback>!|, .*)?$")
_NO_RESULT = re.compile(r"st|cm[np]$|ccm[np]$|tst$|cbn?z$|tbn?z$|prfm$|fcc?mpe?$")
_WHOLE_COPY = re.compile(r"v\d+\.16b, v\d+\.16b$")
_IMMEDIATE = re.compile(r"#(-?(?:0x)?[0-9a-f]+)$")


def _number(text):
    match = _IMMEDIATE.match(text or "")
    return int(match.group(1), 0) if match else None


def _written(instruction):
    """The general registers that an instruction writes, but for a base that it moves on."""
    if _NO_RESULT.match(instruction.mnemonic):
        return []
    count = 2 if instruction.mnemonic.startswith("ldp") else 1
    operands = instruction.operands.split(", ")[:count]
    return ["x" + operand[1:] for operand in operands if re.match(r"[wx]\d+$", operand)]


def _moved_on(instruction):
    """The base register that a load or store moves on, or None."""
    memory = _MEMORY.match(instruction.operands)
    return memory.group("base") if memory and memory.group("writeback") else None


def _on_stack(function, at, register):
    """True if a register is made of sp, by the code in front of an instruction."""
    if register == "sp":
        return True
    for k in range(at - 1, -1, -1):
        instruction = function.instructions[k]
        if register not in _written(instruction):
            continue
        if instruction.mnemonic not in ("add", "sub", "mov", "orr"):
            return False
        sources = re.findall(r"\bx\d+|\bsp\b", instruction.operands.partition(", ")[2])
        return any(_on_stack(function, k, source) for source in sources)
    return False


class _Addresses:
    """Names places in memory so that one place has one name while a loop moves registers on."""

    def __init__(self, function, loop):
        self.function = function
        self.at = {instruction.address: k for k, instruction in enumerate(function.instructions)}
        self.changing = {register for one in loop for register in _written(one) + [_moved_on(one)]}
        self.version, self.distance = Counter(), Counter()

    def of(self, instruction, memory):
        """The address of a load or store, as a base and a distance."""
        base, index = memory.group("base"), memory.group("index")
        if memory.group("writeback") == "!":
            self.distance[base] += _number(index)
            index = None
        distance = _number(index)
        registers = re.findall(r"x\d+", "" if distance is not None else index or "")
        name = [base] + ([index] if registers else [])
        name += [self.version[register] for register in [base] + registers]
        fixed = not self.changing & set([base] + registers)
        stack = _on_stack(self.function, self.at[instruction.address], base)
        return name, (distance or 0) + self.distance[base], stack, fixed

    def after(self, instruction, memory):
        """Follows what an instruction does to the registers of addresses."""
        moves = re.match(r"(x\d+), (x\d+), (#\S+)$", instruction.operands)
        if instruction.mnemonic in ("add", "sub") and moves and moves.group(1) == moves.group(2):
            sign = 1 if instruction.mnemonic == "add" else -1
            self.distance[moves.group(1)] += sign * _number(moves.group(3))
            return
        for register in _written(instruction):
            self.version[register] += 1
        writeback = memory and (memory.group("writeback") or "").lstrip(", ")
        if writeback and writeback != "!":
            if _number(writeback) is None:
                self.version[memory.group("base")] += 1
            else:
                self.distance[memory.group("base")] += _number(writeback)


def _moves(instruction, memory, addresses, loop_text):
    """A load or store as one operation for each register."""
    text = "%s %s" % instruction[1:]
    registers = memory.group("registers")
    lane = re.search(r"\.([bhsd]) \}\[", registers)
    name, distance, stack, fixed = addresses.of(instruction, memory)
    stores, found = instruction.mnemonic.startswith("st"), []
    for kind, register in _REGISTER.findall(registers):
        place = Place((*name, distance), stack, fixed)
        size = _BYTES[lane.group(1) if lane else kind]
        distance += size
        # Four elements of 16 bits are as many as a vector has of 32; what is used as one element
        # of all is a broadcast.
        whole = size == 16 or kind == "d" and re.search(r"\bv%s\.4h" % register, loop_text)
        broadcast = instruction.mnemonic == "ld1r" or \
            size == 4 and not lane and re.search(r"\bv%s\.s\[0\]" % register, loop_text)
        found.append(Operation(
            text, None, "q" if size == 16 else "d" if whole else "scalar",
            [register] if stores else [place], place if stores else register,
            size == 16 and instruction.mnemonic != "ld1r", not whole and not broadcast))
    return found


def _computation(instruction):
    registers = _REGISTER.findall(instruction.operands)
    arithmetic = _ARITHMETIC.match(instruction.mnemonic)
    writes = re.match(r"[qdshbv]\d", instruction.operands) and \
        not _NO_RESULT.match(instruction.mnemonic)
    width = None
    if arithmetic:
        width = "scalar" if not instruction.operands.startswith("v") else \
            "q" if re.match(r"v\d+\.(4s|2d)", instruction.operands) else "d"
    return Operation("%s %s" % instruction[1:], arithmetic and arithmetic.group(1), width,
                     [number for _, number in (registers[1:] if writes else registers)],
                     registers[0][1] if writes else None,
                     instruction.mnemonic == "mov" and
                     bool(_WHOLE_COPY.match(instruction.operands)),
                     False)


def operations(function, loop):
    """What the instructions of a loop do, in their order."""
    addresses, found = _Addresses(function, loop), []
    loop_text = "\n".join(instruction.operands for instruction in loop)
    for instruction in loop:
        memory = _MEMORY.match(instruction.operands)
        if not memory:
            found.append(_computation(instruction))
        elif _REGISTER.search(memory.group("registers")):
            found.extend(_moves(instruction, memory, addresses, loop_text))
        else:
            # An element through a general register.
            found.append(Operation("%s %s" % instruction[1:], None, None, [], None, False,
                                   bool(re.match(r"(ld|st)u?rs?[bh]$", instruction.mnemonic))))
        addresses.after(instruction, memory)
    return found
