"""What keeps the house in order: layers, sizes, safe file formats, named randomness, documented interfaces."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from importlinter.cli import lint_imports

from diamond.experience.frames import slide

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src/diamond").rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 70
TABLES = {"experiment.py"}
"""Files that are one long table, looked up rather than read."""

UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
GLOBAL_RANDOM_CALLS = {"torch.manual_seed", "torch.seed", "torch.set_rng_state", "torch.cuda.manual_seed_all"}
DRAWS = {"bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"}
DRAWS_LIKE = {"rand_like", "randint_like", "randn_like"}
IN_PLACE_DRAWS = {"bernoulli_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"}
NUMPY_RANDOM = {"BitGenerator", "Generator", "PCG64", "Philox", "SeedSequence", "default_rng"}

every_source = pytest.mark.parametrize(
    "source", SOURCES, ids=[path.relative_to(ROOT / "src/diamond").as_posix() for path in SOURCES]
)


def parse(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


def calls(source: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what it calls, as it is written."""
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}


def has_generator(call: ast.Call) -> bool:
    """Whether a generator is passed, by name or inside an unpacked dictionary."""
    return any(keyword.arg in ("generator", None) for keyword in call.keywords)


def test_imports_point_down_a_layer() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_shapes_are_checked_while_tests_run() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        slide(torch.zeros(2, 4, 3, 8, 8), torch.zeros(3, 3, 8, 8))


@every_source
def test_files_and_functions_can_be_held_in_the_head(source: Path) -> None:
    length = len(source.read_text(encoding="utf-8").splitlines())
    assert source.name in TABLES or length <= MAX_FILE_LINES, f"{length} lines"
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, f"{node.name} is longer than a screen"


@every_source
def test_no_file_is_ever_executed(source: Path) -> None:
    """Weights, configurations and episodes come from strangers: they are read as plain data only."""
    for name, call in calls(source):
        assert name not in UNSAFE_CALLS, f"line {call.lineno}: {name}"
        if name == "torch.load":
            assert keywords(call).get("weights_only") == "True", f"line {call.lineno}: {name} may unpickle"
        if name in {"np.load", "numpy.load"}:
            assert keywords(call).get("allow_pickle") == "False", f"line {call.lineno}: {name} may unpickle"
    for node in ast.walk(parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not UNSAFE_MODULES & {name.split(".")[0] for name in names}


@every_source
def test_randomness_has_a_name(source: Path) -> None:
    """Only generators that are passed around are drawn from, so that a checkpoint can hold every random stream.

    Constructors of networks are free: whoever creates an agent sets PyTorch's stream for that moment and puts it back.
    """
    initialisers = [node for node in ast.walk(parse(source)) if getattr(node, "name", "") == "__init__"]
    free = [range(node.lineno, node.end_lineno + 1) for node in initialisers if "networks" in source.parts]
    for name, call in calls(source):
        if any(call.lineno in lines for lines in free):
            continue
        line, head, tail = f"line {call.lineno}: {name}", name.rpartition(".")[0], name.rpartition(".")[2]
        assert name not in GLOBAL_RANDOM_CALLS, line
        assert head != "random", line
        if head == "torch":
            assert tail not in DRAWS_LIKE, f"{line} cannot take a generator"
            assert tail not in DRAWS or has_generator(call), f"{line} needs a generator"
        if tail in IN_PLACE_DRAWS and not head.endswith("init"):
            assert has_generator(call), f"{line} needs a generator"
        if head in {"np.random", "numpy.random"}:
            assert tail in NUMPY_RANDOM, f"{line} draws from a global stream"
            assert tail != "default_rng" or call.args or call.keywords, f"{line} needs a seed"


@every_source
def test_public_names_are_documented(source: Path) -> None:
    tree = parse(source)
    assert ast.get_docstring(tree) or not tree.body, "the module needs a docstring"
    assert not list(undocumented(tree.body)), "public names without a docstring"


def undocumented(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
    """Public functions, classes and methods without a docstring; methods marked as overrides keep their parent's."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        inherits = any(ast.unparse(decorator).endswith(("override", ".setter")) for decorator in node.decorator_list)
        if not ast.get_docstring(node) and not inherits:
            yield f"{owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{node.name}.")
