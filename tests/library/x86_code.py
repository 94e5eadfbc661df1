# SPDX-License-Identifier: Apache-2.0
"""What x86 instructions do with vectors: disassembly.Operation for each, from AT&T syntax."""
import re

from disassembly import Operation, Place

_ARITHMETIC = re.compile(r"^v?(h?add|h?sub|mul|div|sqrt|max|min)([ps])[sd]$")
_VECTOR_MOVE = re.compile(r"^v?(mov|pmov|cvtps2ph|extract)")
_SCALAR_MOVE = re.compile(r"^v?movs[sd]$")
_WHOLE_MOVE = re.compile(r"^v?mov([au]p|dq)")
_COMPARISON = re.compile(r"cmp[bwlq]?$|v?p?test|v?u?comis")
# movss also loads what is to be broadcast, and movq four elements of 16 bits.
_FEW_ELEMENTS = re.compile(r"^v?(movs[sd]|movd|mov[lh]p[sd]|p(insr|extr)[bwdq]|"
                           r"(insert|extract)ps|p?gather[dq](d|q|ps|pd))$")
_REGISTER = re.compile(r"%([xyz]mm)(\d+)$")


def _operands(instruction):
    """Split at the commas that are not within an address; opmasks left out."""
    parts = re.split(r",\s*(?![^(]*\))", instruction.operands)
    return [re.sub(r"\s*\{.*?\}", "", part).strip() for part in parts]


def _width(instruction, scalar):
    if scalar:
        return "scalar"
    return max(re.findall(r"%([xyz]mm)", instruction.operands), default=None)


def _operation(instruction, changing):
    arithmetic = _ARITHMETIC.match(instruction.mnemonic)
    operands = _operands(instruction)

    def value(operand):
        register = _REGISTER.match(operand)
        if register:
            return register.group(2)
        if "(" not in operand:
            return None
        return Place(operand, "(%rsp" in operand,
                     not changing & set(re.findall(r"%(\w+)", operand)))

    sources = [value(operand) for operand in operands[:-1]]
    result = value(operands[-1])
    if arithmetic and len(operands) == 2:
        sources.append(result)  # SSE adds to its second operand
    sources = [source for source in sources if source]
    if _COMPARISON.match(instruction.mnemonic):
        result = None
    if isinstance(result, Place) and not (_VECTOR_MOVE.match(instruction.mnemonic) and
                                          any(isinstance(source, str) for source in sources)):
        result = None
    broadcast = instruction.mnemonic.endswith("movss") and "(" in operands[0]
    return Operation(
        "%s %s" % instruction[1:], arithmetic and arithmetic.group(1),
        _width(instruction, arithmetic and arithmetic.group(2) == "s" or
               _SCALAR_MOVE.match(instruction.mnemonic)),
        sources, result, bool(_WHOLE_MOVE.match(instruction.mnemonic)),
        bool(_FEW_ELEMENTS.match(instruction.mnemonic)) and "(" in instruction.operands
        and not broadcast)


def operations(_function, loop):
    """What the instructions of a loop do, in their order."""
    changing = {operand.lstrip("%") for instruction in loop
                for operand in _operands(instruction)[-1:] if re.match(r"%r[a-z0-9]+$", operand)}
    return [_operation(instruction, changing) for instruction in loop]
