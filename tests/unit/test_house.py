# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of the whole collection: everything is documented, declared, tried somewhere, and can be installed."""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import typing as t
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.plugins.doc_fragments import auth
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.options import AUTH_OPTIONS

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
FQCN = "plumbline.kubernetes"

MODULES = sorted(path for path in ROOT.glob("plugins/modules/*.py"))
CALLBACKS = sorted(ROOT.glob("plugins/callback/*.py"))
ROLES = sorted(path for path in ROOT.glob("roles/*") if path.is_dir())
PLAYBOOKS = sorted(ROOT.glob("playbooks/*.yml"))

# Modules that ask no cluster: they have no connection, and are not in the action group that sets it.
LOCAL = {"report"}

# Judges never change anything; in check mode they judge nothing either, and say what they would do.
JUDGES = {"diagnose", "survey", "verify", "verify_dns", "verify_endpoints", "verify_environment", "verify_http"}


def load(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text())


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def module_documents(path: Path) -> dict[str, t.Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, without importing it."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            name = node.targets[0].id
            if name in {"DOCUMENTATION", "EXAMPLES", "RETURN"}:
                found[name] = yaml.safe_load(ast.literal_eval(node.value))
    return found


def named(paths: list[Path]) -> t.Any:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def test_there_is_something_to_check() -> None:
    assert len(MODULES) >= 9
    assert {role.name for role in ROLES} >= {"expose", "kind_cluster", "nginx", "verify"}
    assert {playbook.stem for playbook in PLAYBOOKS} >= {"quickstart", "site", "teardown", "verify"}


# -- modules


@named(MODULES)
def test_module_is_documented(path: Path) -> None:
    documents = module_documents(path)
    documentation = documents["DOCUMENTATION"]
    assert documentation["module"] == path.stem
    assert not documentation["short_description"].endswith(".")
    fragments = {f"{FQCN}.attributes.local"} if path.stem in LOCAL else {f"{FQCN}.auth", f"{FQCN}.attributes"}
    assert fragments <= set(documentation["extends_documentation_fragment"])
    assert {"check_mode", "diff_mode", "idempotent"} <= set(documentation["attributes"])
    for name, attribute in documentation["attributes"].items():
        assert attribute["support"] == "full" or attribute.get("details"), f"{name}: say what is not supported and why"
    assert any(f"{FQCN}.{path.stem}" in task for task in documents["EXAMPLES"])
    assert not {"failed", "results", "skipped", "unreachable", "warnings"} & set(documents["RETURN"] or {})


@named(MODULES)
def test_check_mode_is_what_its_kind_promises(path: Path) -> None:
    support = module_documents(path)["DOCUMENTATION"]["attributes"]["check_mode"]["support"]
    assert support == ("partial" if path.stem in (*JUDGES, "remediate") else "full")


def test_action_group_has_every_module_and_extends_kubernetes_core() -> None:
    group = load(ROOT / "meta/runtime.yml")["action_groups"]["k8s"]
    assert sorted(entry for entry in group if isinstance(entry, str)) == [
        path.stem for path in MODULES if path.stem not in LOCAL
    ]
    assert {"metadata": {"extend_group": ["kubernetes.core.k8s"]}} in group


def test_every_module_that_asks_a_cluster_has_its_action() -> None:
    actions = {path.stem: path for path in ROOT.glob("plugins/action/*.py")}
    assert actions.keys() == {path.stem for path in MODULES} - LOCAL
    assert {path.resolve() for path in actions.values()} == {ROOT / "plugins/action/verify.py"}
    for path in MODULES:
        assert ("\nMODULE = Definition(" in path.read_text()) is (path.stem not in LOCAL), path


def test_connection_options_are_documented_as_they_are() -> None:
    def shape(options: dict[str, t.Any], nested: str) -> dict[str, t.Any]:
        return {
            name: {key: option[key] for key in ("type", "elements", "aliases", "default", "choices") if key in option}
            | ({"options": shape(option[nested], nested)} if nested in option else {})
            for name, option in options.items()
        }

    documented = yaml.safe_load(auth.ModuleDocFragment.DOCUMENTATION)["options"]
    assert shape(documented, "suboptions") == shape(AUTH_OPTIONS, "options")


def test_modules_reach_no_private_code_of_other_collections() -> None:
    for path in ROOT.glob("plugins/**/*.py"):
        foreign = re.findall(r"ansible_collections\.(?!plumbline\.kubernetes\b)\S+", path.read_text())
        assert not foreign, f"{path.relative_to(ROOT)} names {foreign}"


# -- roles and playbooks


@named(ROLES)
def test_role_defaults_equal_its_argument_specs(path: Path) -> None:
    entries = load(path / "meta/argument_specs.yml")["argument_specs"].values()
    options = {name: option for entry in entries for name, option in entry["options"].items()}
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    defaults_file = path / "defaults/main.yml"
    assert (load(defaults_file) or {} if defaults_file.exists() else {}) == specified
    assert all(name.startswith(f"{path.name}_") for name in options)
    assert all(option.get("description") for option in options.values())


@named(ROLES)
def test_role_says_what_it_does(path: Path) -> None:
    spec = load(path / "meta/argument_specs.yml")["argument_specs"]["main"]
    assert spec["short_description"]
    assert spec["description"]
    assert load(path / "meta/main.yml")["galaxy_info"]["description"]


def tasks_of(content: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All tasks of a file, also those in blocks and plays."""
    for item in content if isinstance(content, list) else []:
        yield item
        for below in ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks", "handlers"):
            yield from tasks_of(item.get(below))


# kubectl apply leaves a copy of the whole object in an annotation.
HIDDEN = ["data", "metadata.annotations", "metadata.managedFields"]


def met(task: dict[str, t.Any], variables: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Arguments of a task of kubernetes.core that Secrets go through; variables are those of its role."""
    arguments = [value for name, value in task.items() if name.startswith("kubernetes.core.k8s")]
    loop = str(task.get("loop", ""))
    looped = [value for name, value in variables.items() if re.search(rf"\b{name}\b", loop)]
    return arguments if re.search(r"\bSecret\b", str([*arguments, loop, *looped])) else []


@pytest.mark.parametrize(
    ("task", "count"),
    [
        ({"kubernetes.core.k8s_info": {"kind": "Secret"}}, 1),
        ({"kubernetes.core.k8s_info": {"kind": "{{ item.kind }}"}, "loop": "{{ kinds }}"}, 1),
        ({"kubernetes.core.k8s_info": {"kind": "{{ item.kind }}"}, "loop": [{"kind": "Secret"}]}, 1),
        ({"kubernetes.core.k8s_info": {"kind": "{{ item.kind }}"}, "loop": "{{ others }}"}, 0),
        ({"kubernetes.core.k8s": {"definition": {"kind": "Secret"}}}, 1),
        ({"ansible.builtin.debug": {"msg": "Secret"}}, 0),
    ],
)
def test_tasks_that_secrets_go_through_are_known(task: dict[str, t.Any], count: int) -> None:
    assert len(met(task, {"kinds": [{"kind": "Secret"}], "others": [{"kind": "Job"}]})) == count


def test_no_task_registers_the_key_in_a_secret() -> None:
    """What is registered is shown at -v."""
    found = []
    for path in [*PLAYBOOKS, *ROOT.glob("roles/*/tasks/*.yml")]:
        variables = path.parents[1] / "vars/main.yml"
        known = load(variables) if variables.exists() else {}
        found += [(path, arguments) for task in tasks_of(load(path)) for arguments in met(task, known)]
    assert len(found) >= 3
    bare = [path for path, arguments in found if not set(HIDDEN) <= set(arguments.get("hidden_fields", []))]
    assert not bare


@named(PLAYBOOKS)
def test_playbook_is_an_entry_point_not_a_program(path: Path) -> None:
    for play in load(path):
        if "import_playbook" in play or "ansible.builtin.import_playbook" in play:
            continue
        assert play["gather_facts"] is False
        assert play["connection"] == "local"
        assert play["vars"]["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"
        # Before there is a cluster there is nothing to connect to.
        if f"{FQCN}.kind_cluster" not in str(play):
            assert f"group/{FQCN}.k8s" in play["module_defaults"]


ROLE_KEYS = {f"{prefix}{verb}_role" for prefix in ("", "ansible.builtin.") for verb in ("import", "include")}
PLAYBOOK_KEYS = {"import_playbook", "ansible.builtin.import_playbook"}
Used = tuple[str, str]


def uses(node: t.Any) -> t.Iterator[Used]:
    """What YAML of plays and tasks makes use of: the kind of thing and its name, those of other collections as well."""
    if isinstance(node, list):
        for item in node:
            yield from uses(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from uses_of_key(str(key), value)
    elif isinstance(node, str):  # a word of a command
        yield from (("playbook", word) for word in re.findall(rf"(?<![\w./]){re.escape(FQCN)}\.(\w+)\b(?!\.)", node))


def uses_of_key(key: str, value: t.Any) -> t.Iterator[Used]:
    if key in ROLE_KEYS:
        yield "role", value["name"].rpartition(".")[2]
    elif key == "roles":
        for role in value:
            yield "role", (role if isinstance(role, str) else role.get("role") or role["name"]).rpartition(".")[2]
    elif key in PLAYBOOK_KEYS:
        yield "playbook", value.removesuffix(".yml").rpartition(".")[2]
    elif key != "module_defaults":  # which use nothing
        if key.startswith(f"{FQCN}."):
            yield "module", key.rpartition(".")[2]
        yield from uses(value)


def files_of(kind: str, name: str) -> list[Path]:
    if kind == "playbook":
        return [path for path in PLAYBOOKS if path.stem == name]
    return sorted(ROOT.glob(f"roles/{name}/tasks/**/*.yml")) if kind == "role" else []


@pytest.fixture(scope="module")
def tried() -> set[Used]:
    """What the scenarios lead to: playbooks, from there roles, from there modules."""
    files = sorted(ROOT.glob("molecule/**/*.yml"))
    found: set[Used] = set()
    while files:
        further = {use for path in files for use in uses(load(path))} - found
        found |= further
        files = [path for use in further for path in files_of(*use)]
    return found


@pytest.mark.parametrize(
    ("kind", "name"),
    [("module", path.stem) for path in MODULES]
    + [("role", path.name) for path in ROLES]
    + [("playbook", path.stem) for path in PLAYBOOKS],
)
def test_everything_is_tried_by_a_scenario(tried: set[Used], kind: str, name: str) -> None:
    """A scenario names it itself, or by way of a playbook or role that it leads to."""
    assert (kind, name) in tried, f"nothing in molecule/ leads to the {kind} {name}"


# How a task is done, and what the object is called: nothing that could be left alone.
WAYS = {"name", "namespace", "state", "deployment", "force_conflicts", "preflight", "wait", "wait_for", "wait_timeout"}


@pytest.mark.parametrize("module", ["deployment", "service"])
def test_every_option_is_set_and_then_left_out_by_a_scenario(module: str) -> None:
    """molecule/ownership and molecule/service have a table each; a case makes the object, and sets options then."""
    scenario = ROOT / "molecule" / {"deployment": "ownership"}.get(module, module)
    cases = load(scenario / "vars" / "main.yml")[f"{scenario.name}_cases"]
    documented = module_documents(ROOT / f"plugins/modules/{module}.py")["DOCUMENTATION"]["options"]
    assert {option for case in cases for option in (*case["make"], *case["set"])} == set(documented) - WAYS


# -- files


def test_every_file_names_its_licence() -> None:
    covered = [
        glob for entry in tomllib.loads((ROOT / "REUSE.toml").read_text())["annotations"] for glob in entry["path"]
    ]
    bare = [
        name
        for name in tracked_files()
        if not any(fnmatch(name, glob.replace("**/", "*")) for glob in covered)
        and "SPDX-License-Identifier: GPL-3.0-or-later" not in (ROOT / name).read_text()[:600]
    ]
    assert not bare


def text_of(path: Path) -> str:
    """What a file says, also a packed one."""
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def test_nothing_names_the_machine_it_was_written_on() -> None:
    """No absolute path of a developer's machine, and no host of a private index."""
    secret = re.compile("|".join(["/wo" + "rk/", "/ro" + "ot/", "/home/" + r"\w", r"\bpy" + r"pi\.\w+\.internal"]))
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in tracked_files()
        if not name.startswith("tests/kind/go/") or not name.endswith("go.sum")
        for number, line in enumerate(text_of(ROOT / name).splitlines(), 1)
        if secret.search(line)
    ]
    assert not found, "\n".join(found)


def test_images_of_the_test_bed_have_their_versions_in_one_file() -> None:
    image = re.compile(r"\b(?:nginx|python):\d+\.\d")
    found = [
        f"{name}: {tag.group()}; tests/kind/versions.py has it"
        for name in tracked_files()
        if name.startswith(("molecule/", "tests/bench/", "tests/faults/")) and not name.endswith(".gz")
        for tag in image.finditer((ROOT / name).read_text())
    ]
    assert not found, "\n".join(found)


def test_execution_environment_installs_what_the_collection_needs() -> None:
    environment = load(ROOT / "meta/execution-environment.yml")["dependencies"]
    collections = load(ROOT / environment["galaxy"])["collections"]
    assert {entry["name"]: entry["version"] for entry in collections} == load(ROOT / "galaxy.yml")["dependencies"]
    assert "kubernetes" in (ROOT / environment["python"]).read_text()


def test_changelog_fragments_are_valid() -> None:
    linted = subprocess.run(
        [BIN / "antsibull-changelog", "lint"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as a user would get it."""
    out = tmp_path_factory.mktemp("built")
    galaxy("collection", "build", str(ROOT), "--output-path", str(out))
    return next(out.glob("*.tar.gz"))


def galaxy(*arguments: str) -> str:
    # Without the folders of this machine, or it finds the collection installed already.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    ran = subprocess.run(
        [BIN / "ansible-galaxy", *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_built_collection_holds_what_users_need_and_no_more(built: Path) -> None:
    with tarfile.open(built) as archive:
        names = archive.getnames()
    tops = {name.split("/")[0] for name in names}
    assert tops <= {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "REUSE.toml",
        "changelogs",
        "docs",
        "examples",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }
    assert not [name for name in names if name.endswith(".pyc")]


def test_installed_collection_is_usable(built: Path, tmp_path: Path) -> None:
    """Installed into an empty folder, each module, role and playbook can be found and is documented."""
    galaxy("collection", "install", str(built), "--no-deps", "--offline", "--collections-path", str(tmp_path))
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}

    def documented(kind: str) -> dict[str, t.Any]:
        names = json.loads(ansible_doc("--list", "--type", kind, FQCN, "--json"))
        return json.loads(ansible_doc("--type", kind, *names, "--json")) if names else {}

    def ansible_doc(*arguments: str) -> str:
        ran = subprocess.run(
            [BIN / "ansible-doc", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert sorted(documented("module")) == [f"{FQCN}.{path.stem}" for path in MODULES]
    assert sorted(documented("callback")) == [f"{FQCN}.{path.stem}" for path in CALLBACKS]
    assert sorted(documented("role")) == [f"{FQCN}.{path.name}" for path in ROLES]
    listed = subprocess.run(
        [BIN / "ansible-playbook", "--list-tasks", "-i", "localhost,", f"{FQCN}.verify"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert listed.returncode == 0, listed.stderr
