"""Registries: what can be chosen by name. A member is a file that adds itself, and a line where the registry stands.

Members of the package are imported when they are asked for, so that a choice among models costs no import of torch.
Plugins (``mlet_bench.plugins``) add members of their own in the same way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Generic, TypeVar

from mlet_bench.errors import BenchError

Member = TypeVar("Member", bound=Any)  # a class or an object with a ``name``
Added = TypeVar("Added")  # what is added stays what it is: a decorated class keeps its signature


class Registry(Mapping[str, Member], Generic[Member]):
    """Members by name, in the order of the list.

    Args:
        kind: what a member is, for sentences: ``embedding method``.
        package: where the modules of ``members`` are.
        members: names, each a module of the package; or name → module, where they differ.
        built_in: members that are there at once.

    Example::

        METHODS: Registry[type[FieldTables]] = Registry("embedding method", __name__, ["single", "mlet"])

        @METHODS.add                   # in mlet_bench/embeddings/single.py, or in a plugin
        class SingleTables(FieldTables):
            name = "single"

        METHODS["single"]              # imports the module
    """

    def __init__(
        self,
        kind: str,
        package: str = "",
        members: Sequence[str] | Mapping[str, str] = (),
        built_in: Iterable[Member] = (),
    ):
        self.kind = kind
        self._package = package
        self._modules = dict(members) if isinstance(members, Mapping) else {name: name for name in members}
        self._added: dict[str, Member] = {member.name: member for member in built_in}

    def add(self, member: Added) -> Added:
        """Add a member, as a decorator or a call; a class whose module is loaded again replaces itself.

        Raises:
            BenchError: another member has that name.
        """
        added: Any = member
        name, other = added.name, self._added.get(added.name)
        known = other is not None or (name in self._modules and not self._is_home(added))
        if known and not (other == added or (isinstance(added, type) and _place(other) == _place(added))):
            raise BenchError(f"there is a {self.kind} {name!r} already: give yours another name")
        self._added[name] = added  # pyright: ignore[reportArgumentType] - a decorator keeps the type of what it takes
        return member

    def remove(self, name: str) -> None:
        """Forget a member that was added: for tests, which leave a registry as they found it."""
        del self._added[name]

    def module_of(self, name: str) -> str:
        """The module that a member is written in; lets ``mlet_bench.lineage`` find its code."""
        return getattr(self[name], "__module__", self._package)

    def modules(self) -> list[str]:
        """The modules that all members are written in, without importing one."""
        listed = [f"{self._package}.{module}" for module in self._modules.values()]
        return sorted({*listed, *(getattr(member, "__module__", self._package) for member in self._added.values())})

    def _is_home(self, member: Member) -> bool:
        return getattr(member, "__module__", "") == f"{self._package}.{self._modules[member.name]}"

    def __getitem__(self, name: str) -> Member:
        """The member of that name.

        Raises:
            BenchError: there is none; it says which there are.
        """
        if name not in self._added and name in self._modules:
            import_module(f"{self._package}.{self._modules[name]}")
        if name not in self._added:
            raise BenchError(f"unknown {self.kind} {name!r}: there are {', '.join(self)}")
        return self._added[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._added

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._modules, *self._added]))

    def __len__(self) -> int:
        return len({*self._modules, *self._added})


def _place(member: object) -> tuple[str, str]:
    return getattr(member, "__module__", ""), getattr(member, "__qualname__", "")
