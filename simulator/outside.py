"""Classes and functions from outside: ``package.module:Name``, or ``./file.py:Name`` beside the config.

What is found comes with a hash of its sources, so that results of what was edited since are never served again. Of a
file these are it and what it imports from its own folder; of an installed module all of its package's. What else it
uses (other packages, data) is in no hash.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simulator.errors import PACKAGES, InputError, frames_of, is_ours
from simulator.places import place_of

SOURCES_OF = "__tierfetch_sources_sha256__"
"""The attribute of a module from outside that has the hash of its sources."""
_KEPT_UNDER = "__tierfetch_kept_under__"
IS_LOADING: ContextVar[bool] = ContextVar("is_loading", default=False)
"""Whether a module from outside is being imported: what it compiles then is not kept for the next process."""
_MOST_SOURCES = 2000
_LOADED_AS = "tierfetch_outside_"
_INSTALLED = frozenset({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Where Python and packages are: nothing there is a file beside anything, wherever the folder is."""


@dataclass(frozen=True)
class Found:
    """What a reference names, and the SHA-256 of its sources."""

    object: Any
    sha256: str
    reference: str


@dataclass
class _Loaded:
    module: ModuleType
    sources: tuple[Path, ...]
    stamps: tuple[tuple[int, int], ...]
    sha256: str


_LOADED: dict[Path, _Loaded] = {}


def is_reference(text: str) -> bool:
    """Whether it could be one: a name after a colon."""
    source, colon, name = text.rpartition(":")
    return bool(colon and source and name.replace(".", "").isidentifier())


def find(reference: str, folder: Path | None = None) -> Found:
    """What a reference names. A file that was edited since is loaded anew.

    Args:
        reference: ``package.module:Name``, or ``path/file.py:Name``; the name may have dots.
        folder: Where a path that is not absolute begins, if it is there; else where the command runs.

    Raises:
        InputError: there is no such file, module or name, or it cannot be imported.
    """
    source, _, name = reference.rpartition(":")
    if not is_reference(reference):
        raise InputError(f"{reference}: expected package.module:Name or ./file.py:Name")
    if source.endswith(".py") or "/" in source:
        loaded = _of_file(reference, place_of(source, folder).resolve())
        module, sha256 = loaded.module, loaded.sha256
    else:
        package = source.partition(".")[0]
        is_new = package not in sys.modules
        module = _imported(reference, source)
        # As it was when it was imported: what is edited later is another process's.
        if not hasattr(module, SOURCES_OF):
            setattr(module, SOURCES_OF, _sha256_of_package(module))
        sha256 = getattr(module, SOURCES_OF)
        if is_new:
            setattr(sys.modules[package], _KEPT_UNDER, sha256)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(f"{reference}: there is no {name} in {source}; expected {_names_in(module)}")
        found = getattr(found, part)
    return Found(found, sha256, reference)


def kept_under(function: Any) -> str | None:
    """The hash of all that the machine code of a function may be made from, under which it is kept for other processes.

    Empty for functions of our own, whose sources have a hash anyway. None: it may call what lies in files that are in
    no hash, and is not kept.
    """
    package = str(function.__module__).partition(".")[0]
    if package in PACKAGES:
        return ""
    return getattr(sys.modules.get(package), _KEPT_UNDER, None) or None


def _names_in(module: ModuleType) -> str:
    own = [n for n, one in vars(module).items() if getattr(one, "__module__", None) == module.__name__ and n[0] != "_"]
    return f"one of {', '.join(own)}" if own else "a class or function that it defines"


def _imported(reference: str, name: str) -> ModuleType:
    try:
        with _loading():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise InputError(
                f"{reference}: there is no module {missing!r} here; expected an installed package, or a file such as "
                "./file.py"
            ) from None
        raise _not_imported(reference, error) from error
    except Exception as error:
        raise _not_imported(reference, error) from error


def _not_imported(reference: str, error: Exception) -> InputError:
    where = "".join(f"; {frame}" for frame in frames_of(error)[-1:])
    return InputError(f"{reference}: cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}{where}")


def _of_file(reference: str, path: Path) -> _Loaded:
    kept = _LOADED.get(path)
    if kept is not None and _stamps(kept.sources) == kept.stamps:
        return kept
    if not path.is_file():
        raise InputError(
            f"{reference}: there is no file {path}; expected one beside the config, or where the run starts"
        )
    _LOADED.pop(path, None)
    loaded = _LOADED[path] = _load(reference, path)
    return loaded


def _load(reference: str, path: Path) -> _Loaded:
    # A name of its own: files of one name in two folders are two modules.
    name = f"{_LOADED_AS}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{reference}: {path} is no Python file; expected one ending in .py")
    module = importlib.util.module_from_spec(spec)
    # What was imported from there before, by whomever, is read anew: it may have been edited since, and is a source.
    aside = {other: one for other, one in list(sys.modules.items()) if _files_beside(one, path.parent) is not None}
    for other in aside:
        del sys.modules[other]
    before, folder = set(sys.modules), str(path.parent)
    sys.path.insert(0, folder)
    sys.modules[name] = module
    # Read from the source each time: by its time stamp alone, byte code of a file edited twice in a second is stale.
    is_writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    helpers: list[Path] = []
    try:
        # Before it runs, which may take long: what is saved meanwhile is another source.
        stamp, own = _stamps((path,)), path.read_bytes()
        with _loading():
            exec(compile(own, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise _not_imported(reference, error if isinstance(error, Exception) else RuntimeError(repr(error))) from error
    finally:
        along = _forget(before, path.parent)
        late = _named_in(path) - set(along)
        helpers = sorted({*along, *late})
        # What functions import is read anew when they do.
        for other, one in aside.items():
            if late.isdisjoint(_files_beside(one, path.parent) or ()):
                sys.modules[other] = one
        sys.dont_write_bytecode = is_writing
        if folder in sys.path:
            sys.path.remove(folder)
        # For what functions import later. Behind all else, where it stands in nobody's way.
        sys.path.append(folder)
    digest = hashlib.sha256()
    for source, content in ((path, own), *((helper, helper.read_bytes()) for helper in helpers)):
        digest.update(source.name.encode() + b"\0" + content)
    setattr(module, SOURCES_OF, digest.hexdigest())
    if not helpers:
        # Numba could not load what calls into modules that are forgotten.
        setattr(module, _KEPT_UNDER, digest.hexdigest())
    return _Loaded(module, (path, *helpers), (*stamp, *_stamps(tuple(helpers))), digest.hexdigest())


def _named_in(path: Path) -> set[Path]:
    """The files of its own folder that a file's imports name, also those in functions, and so on from there."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        try:
            tree = ast.parse(waiting.pop().read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in names:
                place = path.parent.joinpath(*name.split("."))
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    source = file.resolve()
                    if source not in {path, *found} and source.is_file() and not is_ours(str(source)):
                        found.add(source)
                        waiting.append(source)
    return found


def _forget(before: set[str], folder: Path) -> list[Path]:
    """Files beside it that were imported along: theirs are names that files beside another one may have, too."""
    found: set[Path] = set()
    for name in set(sys.modules) - before:
        files = _files_beside(sys.modules[name], folder)
        if files is not None:
            del sys.modules[name]
            found.update(files)
    return sorted(found)


def _files_beside(module: Any, folder: Path) -> list[Path] | None:
    """The sources of a module that lies in a folder, itself or a link to it; None: it is not one of a person's there.

    A package without ``__init__.py`` has none.
    """
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if not isinstance(name, str) or name == "__main__" or name.startswith(_LOADED_AS):
        return None
    try:
        places = [Path(file)] if isinstance(file, str) else [Path(place) for place in getattr(module, "__path__", ())]
        # What only calls itself a file, such as torch._classes, is none.
        places = [place for place in places if place.is_absolute()]
    except Exception:
        # Some modules make up whatever they are asked for.
        return None
    for place in places:
        # A link counts where it lies and where it leads to.
        if "site-packages" in place.parts or not _INSTALLED.isdisjoint(place.parents):
            continue
        ways = {*place.absolute().parents, *place.resolve().parents}
        if (
            folder in ways
            and _INSTALLED.isdisjoint(ways)
            and not is_ours(str(place / "module.py" if file is None else place))
        ):
            return [place.resolve()] if isinstance(file, str) else []
    return None


def _stamps(sources: tuple[Path, ...]) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((stat.st_mtime_ns, stat.st_size) for stat in (source.stat() for source in sources))
    except OSError:
        return ()


def _sha256_of_package(module: ModuleType) -> str:
    """Of all sources of the package that a module belongs to; of our own, nothing: that is in every run's hash."""
    top = sys.modules[module.__name__.partition(".")[0]]
    file = getattr(top, "__file__", None)
    if top.__name__ in PACKAGES:
        return ""
    if file is not None and Path(file).name != "__init__.py":
        roots, sources = [Path(file).parent], [Path(file)]
    else:
        # Without __init__.py it has no file, and perhaps several folders.
        roots = [Path(place) for place in getattr(top, "__path__", ())]
        sources = sorted(source for root in roots for source in root.rglob("*.py"))
    digest = hashlib.sha256(_version_of(top.__name__).encode())
    # A package as large as that is no policy: its version has to do.
    for source in sources if len(sources) <= _MOST_SOURCES else ():
        place = next(source.relative_to(root) for root in roots if root in source.parents)
        digest.update(place.as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _version_of(package: str) -> str:
    from importlib.metadata import packages_distributions, version

    return " ".join(f"{name} {version(name)}" for name in sorted(set(packages_distributions().get(package, []))))


@contextmanager
def _loading() -> Iterator[None]:
    token = IS_LOADING.set(True)
    try:
        yield
    finally:
        IS_LOADING.reset(token)
