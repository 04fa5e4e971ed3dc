# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module runs in the same way as a process of its own and in the controller's, and cleans up when it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.modules import deployment, rollout, service_info, verify
from ansible_collections.plumbline.kubernetes.plugins.plugin_utils.here import perform
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

SERVICE = "/api/v1/namespaces/demo/services/web"
NAMED = {"name": "web", "namespace": "demo"}
TOKEN = "not-a-real-token"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "here", "user": {"token": "another-token-of-nobody"}}],
}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.on("GET", SERVICE, status(404, "NotFound"))
        server.on(
            "GET", "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices", reply({"metadata": {}, "items": []})
        )
        server.on("GET", "/api/v1/nodes", status(403, "Forbidden", "nodes is forbidden"))
        yield server


def told(result: dict[str, t.Any]) -> t.Any:
    """A result without how its warnings are wrapped."""
    warnings = [
        warning["event"]["msg"] if isinstance(warning, dict) else warning for warning in result.pop("warnings", [])
    ]
    return json.loads(json.dumps({"failed": False, **result, "warnings": warnings}, default=str))


@pytest.mark.parametrize(
    ("module", "given"),
    [
        pytest.param(service_info, NAMED, id="a success with a warning"),
        pytest.param(deployment, {**NAMED, "state": "absent", "kubeconfig": KUBECONFIG, "host": None}, id="no server"),
        pytest.param(verify, {**NAMED, "fail_on": "never"}, id="check mode"),
        pytest.param(verify, {**NAMED, "waivers": [{"id": "no such"}]}, id="a missing suboption"),
        pytest.param(rollout, {**NAMED, "action": "scale"}, id="a missing option"),
        pytest.param(rollout, {**NAMED, "action": "turn"}, id="a wrong choice"),
        pytest.param(service_info, {**NAMED, "colour": "red"}, id="an unknown option"),
        pytest.param(
            service_info, {**NAMED, "kubeconfig": {**KUBECONFIG, "contexts": []}, "host": None}, id="no context"
        ),
    ],
)
def test_in_both_ways_the_result_is_the_same(api: FakeApi, module: t.Any, given: dict[str, t.Any]) -> None:
    check = module is verify
    apart = run_module(module, api, check=check, _ansible_module_name="one", **given)
    params = {"host": api.url, "api_key": TOKEN, **given}
    here = perform(module.MODULE, "one", params, check_mode=check, diff=True)
    found = told(here)
    assert found == told(apart)
    assert TOKEN not in json.dumps(found)
    assert "another-token-of-nobody" not in json.dumps(found)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Signals as in a terminal, also where the tests were started in the background, which ignores some."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *((number, None) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
        # ansible-playbook passes Ctrl-C on to its workers, and terminates at once those that have not ended yet.
        *((signal.SIGINT, number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_a_signal_ends_a_task_with_its_cleanup(
    api: FakeApi, first: signal.Signals, second: signal.Signals | None
) -> None:
    tidied = []

    def action(_task: Task, _cluster: Cluster) -> dict[str, t.Any]:
        try:
            os.kill(os.getpid(), first)
            signal.pause()
        finally:
            if second:
                os.kill(os.getpid(), second)
            tidied.append(second)
        return {}

    before = {number: signal.getsignal(number) for number in (first, second or first)}
    given = dict.fromkeys(Definition({}, action).options) | {"host": api.url, "api_key": TOKEN}
    with pytest.raises(SystemExit) as ended:
        Definition({}, action).result(Task(given))
    assert (ended.value.code, tidied) == (128 + first, [second])
    assert {number: signal.getsignal(number) for number in before} == before


PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "connection": "local",
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "module_defaults": {
            "group/plumbline.kubernetes.k8s": {"host": "{{ lookup('env', 'API') }}", "api_key": TOKEN},
            "plumbline.kubernetes.service_info": {"namespace": "demo"},
        },
    }
]
WAYS: dict[str, dict[str, t.Any]] = {
    "in this process": {},
    "in a loop": {"loop": ["web"]},
    "for another host": {"delegate_to": "localhost"},
    "with another environment": {"environment": {"COLOUR": "red"}},
    "by another name of Python": {"vars": {"ansible_python_interpreter": "{{ lookup('env', 'OTHER') }}"}},
    "in the background": {"async": 30, "poll": 1},
}


def test_a_process_of_its_own_is_taken_where_it_makes_a_difference(api: FakeApi, tmp_path: Path) -> None:
    # Beside the program itself, where its virtual environment is found.
    other = Path(sys.executable).with_name(f"python-{os.getpid()}")
    other.symlink_to(sys.executable)
    task = {"plumbline.kubernetes.service_info": {"name": "web"}, "register": "found", "failed_when": "found.exists"}
    play = [{**PLAY[0], "tasks": [{"name": name, **task, **way} for name, way in WAYS.items()]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    environment = {
        **os.environ,
        "API": api.url,
        "OTHER": str(other),
        "ANSIBLE_COLLECTIONS_PATH": str(Path(__file__).resolve().parents[3] / ".venv/collections"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_ASYNC_DIR": str(tmp_path / "async"),
        "ANSIBLE_NOCOLOR": "true",
    }
    try:
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-vvv", "-i", "one,", tmp_path / "play.yml"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        other.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    apart = {part.partition("]")[0]: "Using module file" in part for part in done.stdout.split("\nTASK [")[1:]}
    assert apart == {
        "in this process": False,
        "in a loop": False,
        "for another host": False,
        "with another environment": True,
        "by another name of Python": True,
        "in the background": True,
    }
    assert TOKEN not in done.stdout
