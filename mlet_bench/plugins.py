"""Components of a user's own: modules outside the package that add to its registries when they are imported."""

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mlet_bench.errors import BenchError


def load_plugins(names: Iterable[str]) -> None:
    """Import each plugin once: a module's name, looked for in the working directory too, or the path of a .py file.

    Raises:
        BenchError: there is no such module or file, or importing it fails; names what was raised.
    """
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                import_module(name)
        except BenchError:
            raise
        except ModuleNotFoundError as error:
            if error.name != name.partition(".")[0] and error.name != name:
                raise BenchError(f"plugin {name!r} needs the module {error.name!r}: install it") from error
            raise BenchError(
                f"plugin {name!r} was not found: give a module that Python can import (looked in {Path.cwd()} too), "
                "or the path of a .py file"
            ) from None
        except Exception as error:
            raise BenchError(f"plugin {name!r} cannot be imported ({type(error).__name__}: {error})") from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise BenchError(f"plugin {str(path)!r} is no file (looked in {Path.cwd()})")
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == path.resolve():
        return
    spec = spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
