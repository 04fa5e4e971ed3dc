# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback: which tasks it tells of, and what its lines look like."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.callback import checks
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.lines import BAD, Style, ended, judged
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.text import columns, wrapped
from ansible_collections.plumbline.kubernetes.tests.unit.report import samples
from ansible_collections.plumbline.kubernetes.tests.unit.report.hostile import FORBIDDEN, HOSTILE

FANCY, PLAIN = Style(fancy=True, width=80), Style(fancy=False, width=80)
UNREACHABLE = {"msg": "cluster kind-red: connection refused; is it running?"}


def result(found: samples.Document) -> dict[str, t.Any]:
    """What the module returns beside the file."""
    layers: dict[str, dict[str, int]] = {}
    for finding in found["findings"]:
        counts = layers.setdefault(finding["layer"], {})
        counts[finding["status"]] = counts.get(finding["status"], 0) + 1
    bad = [finding for finding in found["findings"] if finding["status"] in BAD]
    return {**found, "findings": bad, "layers": layers}


def texts(lines: t.Iterable[t.Any]) -> list[str]:
    return [line.text for line in lines]


def test_a_healthy_host_takes_two_lines() -> None:
    assert texts(judged("blue", result(samples.healthy()), FANCY)) == [
        "✓ blue: Service demo/web, 34 pass, 1 skipped from 3 node(s) in 4.2 s",
        "  ✓ control 1  ✓ endpoints 12  ✓ dns 14  ✓ http 8",
    ]


def test_a_broken_host_has_a_line_for_each_layer_and_the_cause_last_in_a_box() -> None:
    lines = texts(judged("green", result(samples.broken()), FANCY))
    assert lines[:5] == [
        "✗ green: Service demo/web, 3 fail, 28 pass from 3 node(s) in 4.2 s",
        "  ✓ control          1 pass",
        "  ✗ endpoints        1 fail, 11 pass",
        "  ✓ dns              14 pass",
        "  ✗ http             2 fail, 2 pass",
    ]
    top = next(number for number, line in enumerate(lines) if line.startswith("  ┏"))
    assert "ROOT CAUSE, CERTAIN" in lines[top + 1]
    assert "Pod web-2 is Ready but nothing listens on port 80" in lines[top + 3]
    end = next(number for number, line in enumerate(lines) if line.startswith("  ┗"))
    assert {len(line) for line in lines[top : end + 1]} == {len(lines[top])}
    # What is to be copied stands below the box, unbroken.
    assert lines[end + 1 :] == [
        "  kubectl -n demo patch service web --type json -p \\",
        '    \'[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8080}]\'',
        "  runbook: docs/causes/workload.md#answer-an-application-does-not-answer",
    ]
    assert any("Further cause: The service proxy of node-2" in line for line in lines[:top])


def test_a_judge_without_causes_has_its_worst_finding_last() -> None:
    lines = texts(judged("amber", result(samples.empty()), PLAIN))
    top = next(number for number, line in enumerate(lines) if line.startswith("  +=="))
    assert "WORST FINDING" in lines[top + 1]
    assert "SV-04 the selector of Service demo/web selects no pod" in lines[top + 3]
    assert not any("SV-04" in line for line in lines[:top])


@pytest.mark.parametrize("style", [FANCY, PLAIN, Style(False, 200), Style(True, 60)])
@pytest.mark.parametrize("sample", [samples.healthy, samples.broken, samples.empty, samples.unready])
def test_lines_keep_to_the_width(style: Style, sample: t.Callable[[], samples.Document]) -> None:
    found = result(sample())
    lines = texts([*judged("a" * 20, found, style), *ended({"a" * 20: [found]}, style)])
    longest = max(40, min(style.width, 100))
    copied = ("kubectl", "targetPort", "runbook:")
    assert all(len(line) <= longest for line in lines if not any(word in line for word in copied))
    if not style.fancy:
        assert all(line.isascii() for line in lines)


def test_the_end_has_a_line_for_each_host_the_bad_ones_last() -> None:
    hosts = {"green": [result(samples.broken())], "red": [UNREACHABLE], "blue": [result(samples.healthy())]}
    lines = texts(ended(hosts, FANCY))
    assert lines[1].startswith("CHECKS ***")
    assert lines[2:] == [
        "✓ blue: Service demo/web: 34 pass, 1 skipped",
        "✗ green: Service demo/web: Pod web-2 is Ready but nothing listens on port 80",
        "✗ red: not judged: cluster kind-red: connection refused; is it running?",
    ]
    assert ended({}, FANCY) == []


def test_hosts_of_which_the_same_is_to_be_said_share_a_line_at_the_end() -> None:
    good, bad = result(samples.healthy()), result(samples.broken())
    hosts = {"blue": [good], "amber": [bad], "green": [good], "grey": [bad], "white": [good, bad]}
    assert texts(ended(hosts, FANCY))[2:] == [
        "✓ 3 hosts: Service demo/web: 34 pass, 1 skipped",
        "    blue, green, white",
        "✗ 3 hosts: Service demo/web: Pod web-2 is Ready but nothing listens on port 80",
        "    amber, grey, white",
    ]


SURVEYED = {
    "msg": "40 Service(s): 38 good, 2 not good; first: Node node-2 is not ready | fix: ...",
    "services": 40,
    "summary": {"pass": 38, "fail": 2, "warn": 0, "inconclusive": 0},
    "elapsed": 3.21,
    "causes": [
        {"status": "fail", "title": f"the selector app=wbe{number} matches 0 pods", "confidence": "certain", "count": 2}
        for number in range(12)
    ],
}


def test_a_survey_is_told_by_its_causes() -> None:
    lines = texts(judged("blue", SURVEYED, FANCY))
    assert lines[0] == "✗ blue: 40 Service(s), 2 fail, 38 pass in 3.2 s"
    assert lines[1] == "  Further cause: the selector app=wbe1 matches 0 pods (2 Services)"
    assert lines[7] == "  and 5 more causes"
    assert any("the selector app=wbe0 matches 0 pods (2 Services)" in line for line in lines[8:])
    assert texts(ended({"blue": [SURVEYED]}, FANCY))[2] == (
        "✗ blue: 40 Service(s): the selector app=wbe0 matches 0 pods (2 Services)"
    )


def test_a_cause_in_the_cluster_itself_is_told_where_each_service_is_good() -> None:
    cause = {"status": "fail", "title": "Node node-2 is not ready", "count": 0}
    lines = judged("blue", {**SURVEYED, "summary": {"pass": 40}, "causes": [cause]}, PLAIN)
    assert lines[0].status == "fail"
    assert any("Node node-2 is not ready" in line.text for line in lines)


def test_a_good_survey_takes_a_line() -> None:
    good = {**SURVEYED, "summary": {"pass": 40}, "causes": []}
    assert texts(judged("blue", good, PLAIN)) == ["+ blue: 40 Service(s), 40 pass in 3.2 s"]


def test_what_was_mended_is_told() -> None:
    steps = ["let Service demo/web select the labels that the pods have"]
    lines = texts(judged("blue", {**result(samples.healthy()), "applied": steps}, PLAIN))
    assert lines[1] == f"  mended: {steps[0]}"
    planned = {"msg": "Service demo/web: ...", "causes": [], "applied": steps, "changed": True}
    assert " ".join(" ".join(texts(judged("blue", planned, PLAIN))).split()) == f"blue: would mend: {steps[0]}"


def test_a_host_that_could_not_be_judged_says_why() -> None:
    assert texts(judged("red", UNREACHABLE, PLAIN, failed=True)) == [
        "x red: not judged: cluster kind-red: connection refused; is it running?"
    ]


def test_check_mode_judges_nothing_and_is_silent() -> None:
    assert judged("blue", {"changed": False, "msg": "would judge endpoints"}, PLAIN) == []


@pytest.mark.parametrize("style", [FANCY, PLAIN])
def test_strangers_words_do_nothing(style: Style) -> None:
    fields = ("id", "layer", "message", "object", "field", "cause", "observed", "expected")
    finding = {**dict.fromkeys(fields, HOSTILE), "status": "fail"}
    fix = {"text": HOSTILE, "kubectl": f"{HOSTILE}\n::error::x", "task": HOSTILE}
    cause = {**finding, "title": HOSTILE, "confidence": HOSTILE, "fix": fix, "runbook": HOSTILE}
    found = {
        "msg": HOSTILE,
        "summary": {"fail": 2},
        "layers": {HOSTILE: {"fail": 2}},
        "findings": [finding, finding],
        "causes": [cause, cause],
    }
    lines = texts([*judged("host", found, style), *ended({"host": [found, {"msg": HOSTILE}]}, style)])
    lines += texts(judged("host", {**found, "causes": []}, style))
    text = "\n".join(lines)
    assert "window.hit" in text
    assert not set(text) & set(FORBIDDEN)
    assert not re.search(r"(?m)^\s*::[A-Za-z-]+( [^\n]*)?::", text)
    assert not re.search(r"##\w*[.]?\w*\[", text)


# ----- columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", 3), ("é", 1), ("e\u0301", 1), ("世界", 4), ("カ", 2), ("ｶ", 1), ("🙂", 2), ("…✗━", 3), ("한국어", 6)],
)
def test_a_sign_takes_the_columns_that_terminals_give_it(text: str, expected: int) -> None:
    assert columns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("one two", ["- one two"]),
        ("12345 789 2", ["- 12345 789", "   2"]),
        ("12345 7890 2", ["- 12345", "   7890 2"]),
        ("1234567890123456789", ["- 123456789", "   01234567", "   89"]),
        ("a 123456789012", ["- a 1234567", "   89012"]),
        ("世界世界世界", ["- 世界世界", "   世界"]),
        ("cafe\u0301 cafe\u0301", ["- cafe\u0301 cafe\u0301"]),
    ],
)
def test_lines_are_broken_by_columns(text: str, expected: list[str]) -> None:
    assert wrapped(text, 11, "- ", "   ") == expected


WIDE = "镜像拉取失败。" * 9 + "back-off 🙂🙂 pulling image " + "🚀" * 50


def test_a_box_is_straight_around_wide_signs() -> None:
    cause = {"title": WIDE, "object": "Pod demo/網頁", "observed": WIDE, "expected": "カ", "fix": {"text": WIDE}}
    found = {"msg": f"Service demo/{WIDE}", "summary": {"fail": 1}, "findings": [], "causes": [cause]}
    lines = texts([*judged("blue", found, FANCY), *ended({"blue": [found]}, FANCY)])
    assert max(map(columns, lines)) < 80
    box = [columns(line) for line in lines if line[2:3] in ("┏", "┃", "┗")]
    assert len(box) > 8
    assert len(set(box)) == 1


# ----- the plugin


class Display:
    columns = 80

    def __init__(self) -> None:
        self.lines: list[tuple[str, str | None]] = []

    def display(self, text: str, color: str | None = None) -> None:
        self.lines.append((text, color))


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> checks.CallbackModule:
    plugin = checks.CallbackModule()
    monkeypatch.setattr(plugin, "_display", Display())
    return plugin


def task_result(action: str, found: dict[str, t.Any], resolved: str | None = None, host: str = "blue") -> t.Any:
    task = types.SimpleNamespace(action=action, resolved_action=resolved)
    of = types.SimpleNamespace(get_name=lambda: host)
    return types.SimpleNamespace(task=task, host=of, result=found)


@pytest.mark.parametrize(
    ("action", "resolved", "told"),
    [
        ("plumbline.kubernetes.verify", None, True),
        ("verify", "plumbline.kubernetes.verify", True),
        ("plumbline.kubernetes.diagnose", None, True),
        ("plumbline.kubernetes.verify_dns", None, True),
        ("plumbline.kubernetes.rollout", None, False),
        ("ansible.builtin.debug", "ansible.builtin.debug", False),
    ],
)
def test_it_tells_of_judging_tasks(
    callback: checks.CallbackModule, action: str, resolved: str | None, told: bool
) -> None:
    callback.v2_runner_on_ok(task_result(action, result(samples.healthy()), resolved))
    callback.v2_playbook_on_stats(None)
    assert bool(callback._display.lines) == told


def test_it_tells_of_every_module_that_judges() -> None:
    folder = Path(checks.__file__).parents[1] / "modules"
    counting = {file.stem for file in folder.glob("*.py") if "\nsummary:\n" in file.read_text().partition("RETURN")[2]}
    assert {checks.PREFIX + name for name in counting - {"report"}} == checks.JUDGES


def test_forty_hosts_stay_readable_at_80_columns(callback: checks.CallbackModule) -> None:
    """Many are good, one cluster does not answer, a few Services are broken, one by events of strangers."""
    broken, empty = result(samples.broken()), result(samples.empty())
    strange = {**broken, "causes": [{**broken["causes"][0], "title": WIDE, "observed": HOSTILE}]}
    odd: dict[int, dict[str, t.Any]] = {7: broken, 8: broken, 19: UNREACHABLE, 23: strange, 31: empty}
    diagnose, healthy = "plumbline.kubernetes.diagnose", result(samples.healthy())
    for number in range(40):
        tell = callback.v2_runner_on_failed if number in odd else callback.v2_runner_on_ok
        tell(task_result(diagnose, odd.get(number, healthy), host=f"cluster-{number:02}.example.org"))
    before = len(callback._display.lines)
    callback.v2_playbook_on_stats(None)
    lines = [text for text, _colour in callback._display.lines]
    copied = ("kubectl", "targetPort", "runbook:")
    assert max(columns(line) for line in lines if not any(word in line for word in copied)) < 80
    # Of a good host two lines, at the end all that are good together; what is wrong comes last.
    assert sum(line.startswith("+ cluster-") for line in lines[:before]) == 35
    assert before < 35 * 2 + len(odd) * 40
    end = lines[before:]
    assert len(end) < 40
    assert end[2] == "+ 35 hosts: Service demo/web: 34 pass, 1 skipped"
    assert next(line for line in end if line.startswith("x ")).startswith("x 2 hosts: Service demo/web: Pod web-2")
    assert all(f"cluster-{number:02}." in " ".join(end) for number in range(40))


def test_failures_and_turns_of_a_loop_are_told_once(callback: checks.CallbackModule) -> None:
    broken = result(samples.broken())
    callback.v2_runner_item_on_ok(task_result("plumbline.kubernetes.verify", result(samples.healthy())))
    callback.v2_runner_item_on_failed(task_result("plumbline.kubernetes.verify", broken))
    callback.v2_runner_on_failed(task_result("plumbline.kubernetes.verify", {"results": [broken]}))
    heads = [text for text, _colour in callback._display.lines if text[2:].startswith("blue: ")]
    assert len(heads) == 2
    callback.v2_playbook_on_stats(None)
    assert {colour for _text, colour in callback._display.lines} >= {"red", "green"}


@pytest.mark.parametrize(
    ("terminal", "encoding", "fancy"),
    [(True, "utf-8", True), (True, "UTF8", True), (True, "ascii", False), (False, "utf-8", False)],
)
def test_signs_beyond_ascii_need_a_terminal_that_knows_them(terminal: bool, encoding: str, fancy: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    Stream.encoding = encoding  # type: ignore[assignment]
    assert checks.is_fancy(Stream()) == fancy


def test_ansible_runs_it(tmp_path: Path) -> None:
    """In a play whose cluster does not answer: the one thing that needs no cluster."""
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - plumbline.kubernetes.verify:\n"
        "        {name: web, namespace: demo, host: 'http://127.0.0.1:9', api_key: x}\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
        "ANSIBLE_CALLBACKS_ENABLED": "plumbline.kubernetes.checks",
        "ANSIBLE_COLLECTIONS_PATH": str(Path(sys.executable).parents[1] / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    ran = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert "x localhost: not judged: " in ran.stdout
    assert ran.stdout.index("PLAY RECAP") < ran.stdout.index("CHECKS ***")
