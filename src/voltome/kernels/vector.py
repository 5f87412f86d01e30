"""Sixteen float32 at a time inside kernels: LLVM's vector type as a Numba type.

Numba leaves SIMD to LLVM's loop vectoriser, which tests at every loop's entry whether arrays overlap and finishes with
a scalar remainder; on rows of some dozen voxels that costs more than the arithmetic. With a vector type kernels say
what they mean. A machine with narrower registers works each vector in two or four parts.

Vectors live inside kernels only: `load`, `store`, `splat`, `ramp`, `total`, `maximum`, `minimum`, `absolute`,
`copy_sign`, and + - * with vectors and float32.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, register_model

LANES = 16

intrinsic: Any = extending.intrinsic  # its callers are kernels, which pass no typing context

_IR = ir.VectorType(ir.FloatType(), LANES)
_FAST = ("fast",)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Float32x16")


VECTOR = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _IR)


def _splat(builder, value):
    vector = builder.insert_element(ir.Constant(_IR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(vector, ir.Constant(_IR, ir.Undefined), zeros)


def _register(function, emit):
    """An operator on two vectors, or on a vector and a float32."""
    operands = [(VECTOR, VECTOR), (VECTOR, types.float32), (types.float32, VECTOR)]

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases = [signature(VECTOR, *pair) for pair in operands]  # noqa: RUF012

    def lower(context, builder, sig, args):
        a, b = (value if kind == VECTOR else _splat(builder, value) for kind, value in zip(sig.args, args, strict=True))
        return getattr(builder, emit)(a, b, flags=_FAST)

    for pair in operands:
        lower_builtin(function, *pair)(lower)


for _function, _emit in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _register(_function, _emit)


def _pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _IR.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """Sixteen elements of a flat float32 array from `index` on."""

    def generate(context, builder, sig, args):
        return builder.load(_pointer(context, builder, sig.args[0], *args), align=4)

    return VECTOR(array, types.int64), generate


@intrinsic
def store(typingctx, array, index, vector):
    """Write sixteen elements of a flat float32 array from `index` on."""

    def generate(context, builder, sig, args):
        builder.store(args[2], _pointer(context, builder, sig.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, VECTOR), generate


@intrinsic
def splat(typingctx, value):
    """A vector of sixteen equal numbers."""

    def generate(context, builder, sig, args):
        return _splat(builder, args[0])

    return VECTOR(types.float32), generate


@intrinsic
def ramp(typingctx):
    """The vector 0, 1, ... 15."""

    def generate(context, builder, sig, args):
        return ir.Constant(_IR, [float(i) for i in range(LANES)])

    return VECTOR(), generate


def _call(builder, name, result, args):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args, fastmath=_FAST)


@intrinsic
def total(typingctx, vector):
    """Sum of the sixteen elements."""

    def generate(context, builder, sig, args):
        zero = ir.Constant(ir.FloatType(), 0.0)
        return _call(builder, f"llvm.vector.reduce.fadd.v{LANES}f32", ir.FloatType(), [zero, args[0]])

    return types.float32(VECTOR), generate


def _elementwise(name, count):
    """An LLVM intrinsic that works on each element."""

    def generate(context, builder, sig, args):
        return _call(builder, f"llvm.{name}.v{LANES}f32", _IR, list(args))

    return VECTOR(*[VECTOR] * count), generate


@intrinsic
def maximum(typingctx, a, b):
    """The larger of two vectors, element by element."""
    return _elementwise("maxnum", 2)


@intrinsic
def minimum(typingctx, a, b):
    """The smaller of two vectors, element by element."""
    return _elementwise("minnum", 2)


@intrinsic
def absolute(typingctx, a):
    """Absolute values."""
    return _elementwise("fabs", 1)


@intrinsic
def copy_sign(typingctx, size, sign):
    """Sizes of one vector with the signs of another."""
    return _elementwise("copysign", 2)
