"""MLET for one table of anybody's PyTorch model: in place of ``nn.Embedding`` and ``nn.EmbeddingBag``."""

import operator
from contextlib import nullcontext
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlet_bench.arms import PAPER_W2_STD
from mlet_bench.errors import BenchError

AUGMENTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")
IN_PLACE = {"__setitem__", "__set__", "__delete__"} | {f"__i{name}__" for name in AUGMENTED}  # w[0] = x, w.data = x
READ_GRAD = vars(torch._C.TensorBase)["grad"].__get__  # as __torch_function__ is told of w.grad


class ProductWeight(Tensor):
    """W1 W2 as ``table.weight`` gives it: to be read, and differentiated through.

    The next read takes the product again, so whatever is written to this tensor, or to a view of it, would be lost.
    It raises BenchError instead. What is computed from it is a plain tensor.
    """

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        subject: Any = args[0] if args else None
        if name == "__iter__":
            return iter(subject.unbind(0))  # each row is a view
        if _holds(kwargs.get("out")) or (_holds(subject) and (_writes(name) or kwargs.get("inplace"))):
            _refuse_to_write()
        if _holds(subject) and name in ("register_hook", "register_post_accumulate_grad_hook"):
            raise BenchError(
                "a hook on the weight of a factorised table would never be called, for the weight is a new product "
                "W1 W2 at every read: register it on the table's w1 and w2"
            )
        with torch._C.DisableTorchFunctionSubclass():
            if func == READ_GRAD and not subject.retains_grad:
                raise BenchError(
                    "the weight of a factorised table has no gradient of its own, being the product W1 W2: "
                    "the gradients are at the table's w1.grad and w2.grad"
                )
            result = func(*args, **kwargs)
        return _guarded(result, subject) if isinstance(subject, cls) else result

    def __deepcopy__(self, memo):
        return self.as_subclass(Tensor).__deepcopy__(memo)

    def __reduce_ex__(self, proto):
        return self.as_subclass(Tensor).__reduce_ex__(proto)


def _holds(argument: Any) -> bool:
    """Whether an argument is the product, or a list that the product is in (``torch._foreach_add_``)."""
    members = argument if isinstance(argument, (list, tuple)) else [argument]
    return any(isinstance(member, ProductWeight) for member in members)


def _writes(name: str) -> bool:
    """Whether a function of this name changes its first argument, by torch's way of naming them."""
    return name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))


def _refuse_to_write() -> NoReturn:
    raise BenchError(
        "the weight of a factorised table is the product W1 W2 and cannot be written to: change the table's w1 and w2, "
        "or write to the plain weight before factorize or after collapse (a copy to change is weight.detach().clone())"
    )


def _guarded(result: Any, source: Tensor) -> Any:
    """A view of the product is guarded like the product itself; any other result is left as it is."""
    if type(result) in (list, tuple):
        return type(result)(_guarded(member, source) for member in result)
    if type(result) is not Tensor:
        return result
    try:
        start = result.untyped_storage().data_ptr()
        shared = start != 0 and start == source.untyped_storage().data_ptr()
    except RuntimeError:  # torch.func's tensors, and sparse ones, have no storage
        shared = False
    return result.as_subclass(ProductWeight) if shared else result


def whole_number(value: Any, what: str, least: int) -> int:
    """``value`` as an int; BenchError where it is no whole number (True is none) or below ``least``."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise BenchError(f"{what}={value!r} is a {type(value).__name__}: it must be a whole number, {least} or more")
    if number < least:
        raise BenchError(f"{what}={number}: it must be {least} or more")
    return number


@torch.no_grad()
def _sum_of_bits(weight: Tensor) -> int:
    """A sum that any change of a value changes (but for a coincidence of 1 in 2^32), the same on every device."""
    if weight.is_meta:
        return 0
    bits = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()]
    return int(weight.detach().view(bits).sum(dtype=torch.int64))


class FactorizedTable(nn.Module):
    """The W1 (n×k) and W2 (k×d) of one table; subclasses say how rows are looked up.

    Under autocast the vectors are in half precision, being a product; torch's tables give their weight's type there.

    Args:
        num_embeddings, embedding_dim, inner_dim: n, d, k. The paper's gain needs k well above d; k below d is a valid
            product as well (mixed dimensions), and so is k above n, as it is for the small tables of the paper.
        padding_idx: this row is zero, gets no gradient, and is zero after ``collapse``.
        sparse: give W1 and W2 sparse gradients, for ``torch.optim.SGD``, ``Adagrad`` or ``SparseAdam``. Every row of
            W2 is in its gradient, so that SparseAdam treats W2 as Adam would.
        generator: draws the initial values.

    Raises:
        BenchError: k is no whole number of 1 or more, or there is no row ``padding_idx``.
    """

    # What nn.Embedding has beside these, at its defaults: code that looks for an nn.Embedding reads them.
    max_norm, norm_type, scale_grad_by_freq = None, 2.0, False
    __jit_unused_properties__ = ("frozen", "weight")  # torch.jit.script would compile them

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        inner_dim: int,
        padding_idx: int | None = None,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ):
        nn.Module.__init__(self)  # not that of nn.Embedding, which would make an n×d weight
        self.num_embeddings = num_embeddings = whole_number(num_embeddings, "number of rows n", least=0)
        self.embedding_dim = embedding_dim = whole_number(embedding_dim, "embedding dim d", least=0)
        self.inner_dim = inner_dim = whole_number(inner_dim, "inner dim k", least=1)
        if padding_idx is not None:
            padding_idx = whole_number(padding_idx, "padding_idx", least=-num_embeddings)
            if padding_idx >= num_embeddings:
                raise BenchError(f"padding_idx={padding_idx}: it must be below the number of rows, {num_embeddings}")
            padding_idx %= num_embeddings  # as torch keeps it: counted from the front
        self.padding_idx = padding_idx
        self.sparse = sparse
        self.w1 = nn.Parameter(torch.empty(num_embeddings, inner_dim, device=device, dtype=dtype))
        self.w2 = nn.Parameter(torch.empty(inner_dim, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters(generator)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, 0.25²), as in the authors' code. Drawn on the generator's device."""
        device = self.w1.device if generator is None else generator.device
        bound = max(self.num_embeddings, 1) ** -0.5
        self.w1.copy_(torch.empty(self.w1.shape, device=device).uniform_(-bound, bound, generator=generator))
        self.w2.copy_(torch.empty(self.w2.shape, device=device).normal_(0.0, PAPER_W2_STD, generator=generator))
        if self.padding_idx is not None:
            self.w1[self.padding_idx] = 0
        self.drawn = _sum_of_bits(self.w1)

    @property
    def is_untrained(self) -> bool:
        """W1 could be trained and has values, and they are those that were drawn, to the bit."""
        trainable = self.w1.requires_grad and self.w1.numel() > 0 and not self.w1.is_meta
        return trainable and getattr(self, "drawn", None) == _sum_of_bits(self.w1)  # an older pickle has none

    @torch.no_grad()
    def table(self) -> Tensor:
        """W1 W2, (n, d) in the weights' type: taken in float64 and rounded once, a block of rows at a time."""
        out = self.w1.new_empty(self.num_embeddings, self.embedding_dim)
        w2 = self.w2.double()
        for rows, target in zip(self.w1.split(2**20), out.split(2**20)):
            target.copy_(rows.double() @ w2)
        return out

    @property
    def weight(self) -> Tensor:
        """W1 W2 for code that reads a table whole, as tied output layers do: (n, d), in the weights' type.

        Gradients reach W1 and W2, but not the padding row of W1. Each read costs the product, n·k·d multiplications
        and n·d values, even ``weight.device``; read it once a step. It cannot be written to (BenchError).
        """
        if not isinstance(self.w1, Tensor):  # torch.fx's stand-in
            return self._rows() @ self._w2()
        device = self.w1.device.type
        half = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if half else nullcontext():
            product = self._rows() @ self._w2()
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        return product if traced else product.as_subclass(ProductWeight)  # a graph needs no guard

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "weight":
            _refuse_to_write()
        super().__setattr__(name, value)

    def _rows(self) -> Tensor:
        """All of W1, (n, k), as the lookup gives it: without a gradient of the padding row, or with a sparse one."""
        if self.padding_idx is None and not self.sparse:
            return self.w1
        ids = torch.arange(self.num_embeddings, device=self.w1.device)
        return F.embedding(ids, self.w1, self.padding_idx, sparse=self.sparse)

    def _w2(self) -> Tensor:
        """W2, (k, d); a lookup of all its rows makes its gradient sparse.

        DistributedDataParallel and SparseAdam want one kind of gradient of a module: sparse ones of both factors.
        """
        if not self.sparse:
            return self.w2
        return F.embedding(torch.arange(self.inner_dim, device=self.w2.device), self.w2, sparse=True)

    @property
    def frozen(self) -> bool:
        """Neither factor is trained, so the collapsed table is not either."""
        return not (self.w1.requires_grad or self.w2.requires_grad)

    def collapse(self) -> nn.Module:
        """The plain torch module, n×d, that gives the same vectors."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, inner_dim={self.inner_dim}"


class MLETEmbedding(FactorizedTable, nn.Embedding):
    """In place of ``nn.Embedding(n, d)`` while training: the vectors are W1[ids] @ W2.

    Example::

        table = MLETEmbedding(num_embeddings=10_000, embedding_dim=16, inner_dim=64)
        ...  # train
        model.table = table.collapse()  # nn.Embedding(10_000, 16)
    """

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Embedding``. input: ids below n, of any shape → the same shape with d appended."""
        return F.embedding(input, self.w1, self.padding_idx, sparse=self.sparse) @ self._w2()

    def collapse(self) -> nn.Embedding:
        """The n×d ``nn.Embedding`` that gives the same vectors."""
        plain = nn.Embedding.from_pretrained(self.table(), self.frozen, self.padding_idx, sparse=self.sparse)
        return plain.train(self.training)


class MLETEmbeddingBag(FactorizedTable, nn.EmbeddingBag):
    """In place of ``nn.EmbeddingBag(n, d)`` with mode ``sum`` or ``mean``.

    The bag is taken over rows of W1 and multiplied by W2 once: sums and means are linear, so this equals the bag over
    products and costs one product a bag.

    Args:
        mode: ``sum`` or ``mean``, torch's default.
        include_last_offset: as in ``nn.EmbeddingBag``; the other arguments are those of ``FactorizedTable``.

    Raises:
        BenchError: mode ``max``, which no product commutes with.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        inner_dim: int,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ):
        if mode not in ("sum", "mean"):
            raise BenchError(f"bags of mode {mode!r} cannot be factorised: the modes are sum and mean")
        super().__init__(num_embeddings, embedding_dim, inner_dim, padding_idx, sparse, device, dtype, generator)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """As ``nn.EmbeddingBag``: (bags, L), or (rows,) with offsets (bags,) → (bags, d)."""
        bags = F.embedding_bag(
            input,
            self.w1,
            offsets,
            mode=self.mode,
            sparse=self.sparse,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )  # (bags, k)
        return bags @ self._w2()

    def collapse(self) -> nn.EmbeddingBag:
        """The n×d ``nn.EmbeddingBag`` that gives the same vectors."""
        plain = nn.EmbeddingBag.from_pretrained(
            self.table(),
            freeze=self.frozen,
            mode=self.mode,
            sparse=self.sparse,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )
        return plain.train(self.training)
