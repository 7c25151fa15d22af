"""Lazy imports: what a library imports for things that we do not use is loaded when somebody uses it, not before."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextmanager
def lazy_import(*packages: str) -> Iterator[None]:
    """Inside the block, `import` of these packages ('a', 'a.b') costs nothing; names from them load theirs when called.

    What was imported before stays as it is. Afterwards `import` gives the packages themselves again. The packages need
    not be installed: then calling is the ImportError. Names serve for calls and attributes, not as base classes.
    """
    finder = _Finder(frozenset(packages) - sys.modules.keys())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.given:
            given, (parent, _, child) = sys.modules.pop(name), name.rpartition(".")
            if parent in sys.modules and vars(sys.modules[parent]).get(child) is given:
                delattr(sys.modules[parent], child)


class _Name:
    """A name in a module, looked up when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._real()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        module = importlib.import_module(self._module)
        if hasattr(module, self._name):
            return getattr(module, self._name)
        return importlib.import_module(f"{self._module}.{self._name}")


class _Module(ModuleType):
    def __getattr__(self, name: str) -> _Name:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        return _Name(self.__name__, name)


class _Finder(MetaPathFinder, Loader):
    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages
        self.given: list[str] = []

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> Any:
        if not any(fullname == package or fullname.startswith(f"{package}.") for package in self._packages):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.given.append(spec.name)
        return _Module(spec.name)

    def exec_module(self, _module: ModuleType) -> None:
        pass
