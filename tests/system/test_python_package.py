"""contrib/python as a package, on any Python that it says it runs on."""

import ast
import shutil
import subprocess
import sys

import pytest

from conftest import TOP
from python_support import LIBRARY, MODULE, jobtab


def test_pip_installs_the_module(private):
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("no pip: apt-get install python3-pip")
    for needed in ("setuptools", "wheel"):
        pytest.importorskip(needed, reason=f"no {needed}: apt-get install python3-{needed}")
    source, target = private / "source", private / "target"
    shutil.copytree(MODULE, source)  # a build leaves its traces beside the source
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-index", "--no-deps",
         "--disable-pip-version-check", "--root-user-action=ignore", "--target", target, source],
        check=True, cwd=private,
    )  # fmt: skip
    program = "import jobtab; print(jobtab.__file__); jobtab.JobStore('table').close()"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=private,
        env={"PYTHONPATH": str(target), "JOBTAB_LIBRARY": str(LIBRARY)},
    )  # fmt: skip
    assert ran.stdout == f"{target}/jobtab.py\n", ran
    assert (target / "jobtab-0.1.0.dist-info" / "METADATA").exists()


def test_the_versions_agree():
    configure = (TOP / "configure.ac").read_text()
    assert f"[{jobtab.__version__}]" in configure
    assert f'version = "{jobtab.__version__}"' in (MODULE / "pyproject.toml").read_text()


def test_it_is_python_3_9_and_the_standard_library_alone():
    tree = ast.parse((MODULE / "jobtab.py").read_text(), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if isinstance(node, getattr(ast, "Match", ()))]
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else
                     [node.module] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip
    assert names <= sys.stdlib_module_names, names


def test_everything_public_is_described():
    undescribed = []
    for name in jobtab.__all__:
        thing = getattr(jobtab, name)
        members = vars(thing).items() if thing in (jobtab.JobStore, jobtab.Job) else ()
        undescribed += [name] * (not thing.__doc__)
        undescribed += [f"{name}.{n}" for n, m in members if n[0] != "_" and callable(m) and not m.__doc__]
    assert not undescribed


def test_its_own_words_on_what_there_is_are_true():
    text = jobtab.__doc__
    for field in jobtab._COLUMNS:
        assert field in text, field
