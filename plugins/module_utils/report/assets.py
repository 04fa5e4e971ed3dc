# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Style and script of the page; text, since Ansible ships Python files only to where a module runs."""

from __future__ import annotations

# Every pair of text and ground has a contrast of at least 4.5 : 1, marks and borders that mean something 3 : 1
# (WCAG 2.2, 1.4.3 and 1.4.11).
STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --text: #1b1f24; --quiet: #57606a; --edge: #d5dae1; --soft: #eef1f4;
  --fail: #b42318; --fail-soft: #fdf0ee; --warn: #8a5300; --warn-soft: #fdf5e6; --pass: #17693f; --pass-soft: #ebf6ef;
  --unsure: #4a5568; --unsure-soft: #eef1f5; --focus: #0b57d0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --card: #1c2026; --text: #e7eaee; --quiet: #a3adb8; --edge: #363d47; --soft: #252b33;
    --fail: #ff8d82; --fail-soft: #3a1f1e; --warn: #f0b457; --warn-soft: #362a17; --pass: #6fce96; --pass-soft: #193024;
    --unsure: #b4bfcc; --unsure-soft: #262d36; --focus: #8ab4f8;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main, header.top, footer { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header.top { padding-top: 32px; }
h1 { font-size: 1.15rem; font-weight: 600; margin: 0; }
h2 { font-size: 1.2rem; margin: 0 0 4px; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 32px 0 8px; }
p { margin: 0 0 8px; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 16px; top: 8px; background: var(--card); padding: 8px 12px; }
.quiet { color: var(--quiet); }
.small { font-size: .875rem; }
.nowrap { white-space: nowrap; }
.breaks { overflow-wrap: anywhere; }
code, pre, .mono { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code, .mono { font-size: .9em; overflow-wrap: anywhere; }
.mono.nowrap { overflow-wrap: normal; }
pre { font-size: .85rem; line-height: 1.45; background: var(--soft); border-radius: 6px; padding: 12px 14px;
  margin: 8px 0; overflow-x: auto; }
.mark { width: 1em; height: 1em; vertical-align: -.14em; margin-right: .35em; flex: none; }
.status { white-space: nowrap; font-weight: 600; }
.stroke { fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
.fail, .error, .failed { color: var(--fail); }
.warn, .partial { color: var(--warn); }
.pass, .ok { color: var(--pass); }
.inconclusive, .skipped, .undecided, .idle { color: var(--unsure); }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 20px 24px; }
.card { margin: 16px 0; }
section.cluster { margin: 40px 0 56px; }
section.cluster + section.cluster { border-top: 1px solid var(--edge); padding-top: 40px; }
.facts { color: var(--quiet); font-size: .9rem; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0 0 12px; }
.verdict { border-left: 6px solid; padding: 22px 26px; }
.verdict.fail, .verdict.error { border-left-color: var(--fail); }
.verdict.warn { border-left-color: var(--warn); }
.verdict.pass { border-left-color: var(--pass); }
.verdict.inconclusive, .verdict.skipped { border-left-color: var(--unsure); }
.verdict > * { color: var(--text); }
.verdict .kicker { font-size: .875rem; font-weight: 600; margin: 0 0 4px; display: flex; align-items: center; }
.verdict.fail .kicker, .verdict.error .kicker { color: var(--fail); }
.verdict.warn .kicker { color: var(--warn); }
.verdict.pass .kicker { color: var(--pass); }
.verdict.inconclusive .kicker, .verdict.skipped .kicker { color: var(--unsure); }
.verdict .headline { font-size: 1.75rem; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; margin: 0 0 16px;
  overflow-wrap: anywhere; max-width: 34em; }
.verdict .headline:last-child { margin-bottom: 0; }
.verdict .headline.long { font-size: 1.4rem; line-height: 1.3; max-width: 44em; }
.lesser .headline { font-size: 1.15rem; margin-bottom: 10px; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 12px 28px; margin: 0 0 12px; }
.sides dt, .label { font-size: .8rem; color: var(--quiet); margin: 0; }
.sides dd { margin: 0; overflow-wrap: anywhere; }
details, .second-best { margin: 10px 0 0; }
summary { cursor: pointer; }
details ul { margin: 6px 0; padding-left: 20px; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: 12px 16px 4px; color: var(--quiet); font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: 9px 16px; border-top: 1px solid var(--edge); }
thead th { border-top: 0; color: var(--quiet); font-weight: 500; font-size: .8rem; white-space: nowrap; }
tbody th { font-weight: 600; }
td.breaks, tbody th { min-width: 7.5em; }
td .small, tbody th .small { display: block; color: var(--quiet); font-weight: 400; }
.verdict .headline > .mark { margin-right: .4em; }
.verdict.pass .headline > .mark { color: var(--pass); }
.tools { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 10px 14px; margin: 8px 0;
  display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; font-size: .9rem; }
.tools[hidden] { display: none; }
.tools fieldset { border: 0; padding: 0; margin: 0; display: flex; flex-wrap: wrap;
  gap: 6px 14px; align-items: center; }
.tools legend { float: left; margin-right: 12px; color: var(--quiet); }
.tools label { display: inline-flex; align-items: center; gap: 5px; cursor: pointer; }
input[type=search], button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--quiet);
  border-radius: 6px; padding: 4px 10px; }
button { cursor: pointer; }
figure { margin: 16px 0; }
.canvas { overflow-x: auto; background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: 16px; }
svg.picture { display: block; min-width: 900px; width: 100%; height: auto; }
svg.picture text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
svg.picture text.title { font-size: 13px; font-weight: 600; fill: var(--text); }
svg.picture text.head { font-size: 12px; fill: var(--quiet); }
svg.picture .stroke { stroke-width: 2; }
svg.picture rect { fill: var(--card); stroke: var(--edge); stroke-width: 1.25; }
svg.picture .node rect { fill: var(--soft); }
svg.picture .service rect { stroke: var(--quiet); stroke-width: 1.75; }
svg.picture .certificate rect { stroke-dasharray: 2 3; stroke: var(--quiet); }
svg.picture .box.failed rect { stroke: var(--fail); fill: var(--fail-soft); stroke-width: 2; }
svg.picture .box.partial rect { stroke: var(--warn); fill: var(--warn-soft); stroke-width: 2; }
svg.picture .line path.way { fill: none; stroke-width: 1.5; stroke: var(--quiet); opacity: .55; }
svg.picture .line.ok path.way { stroke: var(--pass); opacity: .8; }
svg.picture .line.failed path.way { stroke: var(--fail); stroke-width: 2.25; stroke-dasharray: 7 5; opacity: 1; }
svg.picture .line.partial path.way { stroke: var(--warn); stroke-width: 2.25; stroke-dasharray: 12 3; opacity: 1; }
svg.picture .line.undecided path.way, svg.picture .line.idle path.way { stroke-dasharray: 2 4; opacity: 1; }
svg.picture .line.failed text, svg.picture .line.partial text { font-weight: 600; fill: currentColor;
  stroke: var(--card); stroke-width: 4px; paint-order: stroke; }
svg.picture .badge rect { stroke: none; fill: currentColor; }
svg.picture .badge text { font-size: 11px; font-weight: 700; fill: var(--card); }
svg.picture .line circle { fill: var(--card); stroke: none; }
figcaption { color: var(--quiet); font-size: .875rem; margin-top: 8px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; }
.legend span { display: inline-flex; align-items: center; }
footer { color: var(--quiet); font-size: .875rem; padding-bottom: 40px; }
@media (max-width: 640px) {
  main, header.top, footer { padding-left: 14px; padding-right: 14px; }
  .verdict .headline { font-size: 1.35rem; }
}
@media print {
  body { background: #fff; }
  .tools, .skip { display: none; }
  .card, .scroll, .canvas { break-inside: avoid; }
}
"""

# Without the script the page shows everything; with it, findings can be chosen.
SCRIPT = """
(function () {
  'use strict';
  function list(nodes) { return Array.prototype.slice.call(nodes); }
  function filter(tools) {
    var table = document.getElementById(tools.getAttribute('data-for'));
    var rows = list(table.querySelectorAll('tr.row'));
    var boxes = list(tools.querySelectorAll('input[type=checkbox]'));
    var search = tools.querySelector('input[type=search]');
    function apply() {
      var wanted = boxes.filter(function (box) { return box.checked; }).map(function (box) { return box.value; });
      var words = search.value.toLowerCase().split(' ').filter(Boolean);
      var shown = rows.filter(function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = wanted.indexOf(row.getAttribute('data-status')) < 0 ||
          words.some(function (word) { return text.indexOf(word) < 0; });
        return !row.hidden;
      }).length;
      table.querySelector('tr.none').hidden = shown > 0;
      tools.querySelector('output').textContent = shown + ' of ' + rows.length + ' shown';
    }
    tools.hidden = false;
    tools.addEventListener('change', apply);
    tools.addEventListener('submit', function (event) { event.preventDefault(); });
    search.addEventListener('input', apply);
    apply();
  }
  function save() {
    var text = document.getElementById('data').textContent;
    var link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
    link.download = 'report.json';
    link.click();
    URL.revokeObjectURL(link.href);
  }
  list(document.querySelectorAll('.tools')).forEach(filter);
  var button = document.getElementById('save');
  button.hidden = false;
  button.addEventListener('click', save);
}());
"""
