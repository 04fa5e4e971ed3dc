# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The HTML of the page, for Jinja2; text, since Ansible ships Python files only to where a module runs."""

from __future__ import annotations

_MARKS = """
{%- macro shape(status) -%}
{%- if status in ("fail", "error", "failed") -%}
<path class="stroke" d="M3 3 L13 13 M13 3 L3 13"/>
{%- elif status in ("warn", "partial") -%}
<path class="stroke" d="M8 1.5 L15.2 14.2 H0.8 Z M8 6 V9.8 M8 11.6 V12.2"/>
{%- elif status in ("pass", "ok") -%}
<path class="stroke" d="M2.5 8.6 L6.3 12.4 L13.5 4"/>
{%- elif status in ("inconclusive", "undecided") -%}
<path class="stroke" d="M5 6.2 C5 2.2 11 2.2 11 6 C11 8.2 8 8.3 8 10.6 M8 13.2 V13.4"/>
{%- else -%}
<path class="stroke" d="M3 8 H13"/>
{%- endif -%}
{%- endmacro -%}

{%- macro mark(status) -%}
<svg class="mark {{ status }}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{{ shape(status) }}</svg>
{%- endmacro -%}

{%- macro status(name, word) -%}
<span class="status {{ name }}">{{ mark(name) }}{{ word }}</span>
{%- endmacro -%}

{%- macro way(seen) -%}
{%- if seen is none -%}
<span class="quiet">-</span>
{%- else -%}
{{ status(seen.status, seen.answered ~ " of " ~ seen.total) }}
{%- if seen.status != "ok" %}<span class="small">{{ seen.faults }}</span>{% endif %}
<span class="small">{{ seen.ms|duration }}</span>
{%- endif -%}
{%- endmacro -%}
"""

_CAUSES = """
{%- macro sides(about) -%}
<dl class="sides">
{%- if about.object %}
<div><dt>Object</dt><dd>{{ about.object }}{% if about.field %}, <code>{{ about.field }}</code>{% endif %}</dd></div>
{%- endif %}
{%- if about.observed is not none %}
<div><dt>Observed</dt><dd><strong>{{ about.observed|value }}</strong></dd></div>
{%- endif %}
{%- if about.expected is not none %}
<div><dt>Expected</dt><dd>{{ about.expected|value }}</dd></div>
{%- endif %}
</dl>
{%- endmacro -%}

{%- macro headline(text) -%}
<p class="headline{% if text|length > 120 %} long{% endif %}">{{ text }}</p>
{%- endmacro -%}

{%- macro folded(title, text) -%}
<details><summary>{{ title }}</summary><pre tabindex="0">{{ text }}</pre></details>
{%- endmacro -%}

{%- macro evidence(about) -%}
{%- if about.evidence %}{{ folded("Evidence", about.evidence|pretty) }}{% endif %}
{%- endmacro -%}

{%- macro fix(found) -%}
{%- if found.text or found.kubectl or found.task %}
<p class="label">Fix</p>
{%- if found.text %}<p>{{ found.text }}</p>{% endif %}
{%- if found.kubectl %}<pre tabindex="0">{{ found.kubectl }}</pre>{% endif %}
{%- if found.task %}{{ folded("As a task" if found.kubectl else "The task", found.task) }}{% endif %}
{%- endif %}
{%- endmacro -%}

{%- macro second(other) -%}
<p class="small second-best"><span class="quiet">Second best:</span> {{ other.title }}
{%- if other.apart %}<br><span class="quiet">To tell them apart:</span> {{ other.apart }}{% endif %}</p>
{%- endmacro -%}

{%- macro consequences(found, count) -%}
<details><summary>{{ count }} consequence{{ "" if count == 1 else "s" }} of it</summary><ul>
{%- for one in found %}
<li><span class="mono">{{ one.id }}</span> {{ one.message }}</li>
{%- endfor %}
{%- if count > found|length %}<li>and {{ count - found|length }} more</li>{% endif %}
</ul></details>
{%- endmacro -%}

{%- macro cause(found, kicker, verdict) -%}
<article class="card verdict {{ verdict }}{% if kicker != "Root cause" %} lesser{% endif %}">
<p class="kicker">{{ mark(verdict) }}{{ kicker }}
{%- if found.confidence %}, {{ found.confidence }}{% endif %}{% if found.id %} ({{ found.id }}){% endif %}</p>
{{ headline(found.title) }}
{{ sides(found) }}
{%- if found.why and found.why != found.fix.text %}<p>{{ found.why }}</p>{% endif %}
{{ fix(found.fix) }}
{%- if found.runbook %}
<p class="small"><span class="quiet">Runbook:</span> <code>{{ found.runbook }}</code></p>
{%- endif %}
{%- if found.second %}{{ second(found.second) }}{% endif %}
{%- if found.consequences %}
{{ consequences(found.consequences, [found.consequence_count, found.consequences|length]|max) }}
{%- endif %}
{{ evidence(found) }}
</article>
{%- endmacro -%}

{%- macro worst(found, verdict) -%}
<article class="card verdict {{ verdict }}">
<p class="kicker">{{ mark(verdict) }}Worst finding ({{ found.id }})</p>
{{ headline(found.message) }}
{{ sides(found) }}
{%- if found.cause %}<p>{{ found.cause }}</p>{% endif %}
{{ evidence(found) }}
</article>
{%- endmacro -%}
"""

_PICTURE = """
{%- macro draw_box(box) -%}
<g class="box {{ box.kind }} {{ box.status }}"><title>{{ box.full }}</title>
<rect x="{{ box.x + 1 }}" y="{{ box.y }}" width="{{ box.width - 2 }}" height="{{ box.height }}" rx="7"/>
<text class="title" x="{{ box.x + 12 }}" y="{{ box.y + 19 }}">
{{- box.title|cut((box.width - (42 if box.status else 22)) * 10 // 87) }}</text>
{%- for line in box.lines %}
<text x="{{ box.x + 12 }}" y="{{ box.y + 19 + 17 * loop.index }}">{{ line }}</text>
{%- endfor %}
{%- if box.status %}
<g class="{{ box.status }}" transform="translate({{ box.x + box.width - 25 }} {{ box.y + 8 }})">
{{- shape(box.status) }}</g>
{%- endif %}</g>
{%- endmacro -%}

{%- macro draw_badge(box) -%}
{%- set width = 7 * box.badge|length + 18 -%}
<g class="badge {{ box.status }}" transform="translate({{ box.x + box.width - width - 32 }} {{ box.y - 9 }})">
<rect width="{{ width }}" height="18" rx="9"/>
<text x="{{ width // 2 }}" y="13" text-anchor="middle">{{ box.badge }}</text></g>
{%- endmacro -%}

{%- macro draw_mark(line) -%}
{%- set x, y = line.mark -%}
<g class="line {{ line.status }}"><circle cx="{{ x }}" cy="{{ y }}" r="11"/>
<g transform="translate({{ x - 8 }} {{ y - 8 }})">{{ shape(line.status) }}</g>
{%- if line.label and line.before %}
<text x="{{ x - 14 }}" y="{{ y + 4 }}" text-anchor="end">{{ line.label }}</text>
{%- elif line.label %}
<text x="{{ x + 14 }}" y="{{ y + 4 }}">{{ line.label }}</text>
{%- endif %}</g>
{%- endmacro -%}

{%- macro draw(seen, name) -%}
<figure>
<div class="canvas" tabindex="0" role="group" aria-label="Picture of the topology, scrolls sideways">
<svg class="picture" viewBox="0 0 {{ width }} {{ seen.height }}" role="img"
 aria-labelledby="{{ name }}-title {{ name }}-desc">
<title id="{{ name }}-title">{{ seen.title }}</title>
<desc id="{{ name }}-desc">{{ seen.description }}</desc>
{%- for x, word in seen.heads %}
<text class="head" x="{{ x + 2 }}" y="14">{{ word }}</text>
{%- endfor %}
{%- for box in seen.boxes if box.kind == "node" %}
{{ draw_box(box) }}
{%- endfor %}
{%- for line in seen.lines %}
<g class="line {{ line.status }}"><title>{{ line.full }}</title><path class="way" d="{{ line.path }}"/></g>
{%- endfor %}
{%- for box in seen.boxes if box.kind != "node" %}
{{ draw_box(box) }}
{%- endfor %}
{%- for line in seen.lines if line.status in ("failed", "partial", "undecided") %}
{{ draw_mark(line) }}
{%- endfor %}
{%- for box in seen.boxes if box.badge %}
{{ draw_badge(box) }}
{%- endfor %}
</svg></div>
<figcaption class="legend"><span>{{ mark("ok") }}every answer is good</span><span>{{ mark("partial") }}some are</span>
<span>{{ mark("failed") }}none is</span><span>{{ mark("undecided") }}undecided</span></figcaption>
</figure>
{%- endmacro -%}
"""

_TABLES = """
{%- macro table(name, part, title, caption, heads, between="") -%}
<h3 id="{{ name }}-{{ part }}">{{ title }}</h3>{{ between }}
<div class="scroll" tabindex="0" role="region" aria-labelledby="{{ name }}-{{ part }}">
<table id="{{ name }}-{{ part }}-table" class="{{ part }}"><caption>{{ caption }}</caption>
<thead><tr>{% for head in heads %}<th scope="col">{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{{ caller() }}</tbody></table></div>
{%- endmacro -%}

{%- macro by_client(topology, name) -%}
{%- set titles, rows = topology|clients -%}
{%- if rows %}
{%- call table(name, "clients", "From each node", "How many answers were good, and the median time.",
  ["Client"] + titles) %}
{%- for row in rows %}
<tr><th scope="row">{{ row.client.label }}
{%- if not row.client.works %}<span class="small failed">no observations
{%- if row.client.detail %}: {{ row.client.detail }}{% endif %}</span>{% endif %}</th>
{%- for _title, seen in row.ways %}<td>{{ way(seen) }}</td>{% endfor %}</tr>
{%- endfor %}
{%- endcall %}
{%- endif -%}
{%- endmacro -%}

{%- macro state(row, verdict) -%}
{%- if row.endpoint.terminating %}{{ status("skipped", "terminating") }}
{%- elif row.endpoint.ready %}{{ status("ok", "ready") }}
{%- else %}{{ status("skipped" if verdict == "pass" else "failed", "not ready") }}
{%- endif %}
{%- if row.reason %}<span class="small">{{ row.reason }}</span>{% endif %}
{%- endmacro -%}

{%- macro by_endpoint(topology, name, verdict) -%}
{%- set rows = topology|endpoints -%}
{%- if rows %}
{%- call table(name, "endpoints", "Each endpoint", "What is behind the Service, and whether it answers itself.",
  ["Pod", "Node", "Address", "EndpointSlice", "State", "Asked directly"]) %}
{%- for row in rows %}{% set one = row.endpoint %}
<tr><th scope="row" class="breaks">{{ one.pod or "no pod" }}</th><td>{{ one.node or "none" }}</td>
<td class="mono nowrap">{{ one.address or "none" }}
{%- if one.ports %}<span class="small">{{ one.ports|join(", ") }}</span>{% endif %}</td>
<td class="breaks">{{ one.slice or "none" }}</td><td>{{ state(row, verdict) }}</td>
<td>{{ way(row.direct) }}
{%- if row.seen_by %}<span class="small">seen by {{ row.seen_by }}</span>{% endif %}</td></tr>
{%- endfor %}
{%- endcall %}
{%- endif -%}
{%- endmacro -%}

{%- macro certificates(topology, name) -%}
{%- if topology.certificates %}
{%- call table(name, "certificates", "Certificates", "What the HTTPS ports serve.",
  ["Where", "Names", "Issuer", "Valid until", "Serial", "Served by"]) %}
{%- for one in topology.certificates %}
<tr><th scope="row" class="nowrap">{{ one.where }}</th>
<td class="breaks">{{ (one.names or one.subject)|value }}</td>
<td class="breaks">{{ one.issuer }}</td><td class="nowrap">{{ one.not_after }}</td>
<td class="mono">{{ one.serial }}</td>
<td class="breaks">{{ one.served_by|value }}</td></tr>
{%- endfor %}
{%- endcall %}
{%- endif -%}
{%- endmacro -%}

{%- macro choice(entry, name) -%}
{%- set bad = entry.verdict in ("fail", "inconclusive", "warn") -%}
<form class="tools" hidden data-for="{{ name }}-findings-table" role="search" aria-label="Choose findings">
<fieldset><legend>Show</legend>
{%- for one, count in entry.summary.items() if count %}
<label><input type="checkbox" name="status" value="{{ one }}"
{%- if not bad or one not in ("pass", "skipped") %} checked{% endif %}>
{{ status(one, one) }} <span class="quiet">{{ count }}</span></label>
{%- endfor %}</fieldset>
<label>Search <input type="search" name="words" autocomplete="off"></label>
<output class="quiet" aria-live="polite"></output></form>
{%- endmacro -%}

{%- macro findings(entry, name) -%}
{%- call table(name, "findings", "All findings", "Worst first.", ["Status", "Check", "Finding"],
  choice(entry, name)) %}
{%- for one in entry.findings %}
<tr class="row" data-status="{{ one.status }}"><td>{{ status(one.status, one.status) }}</td>
<th scope="row" class="nowrap">{{ one.id }} <span class="small">{{ one.layer }}</span></th>
<td class="breaks">{{ one.message }}
{%- if one.observed is not none or one.expected is not none %}
<span class="small">observed {{ one.observed|value }}; expected {{ one.expected|value }}</span>
{%- endif %}
{%- if one.cause %}<span class="small">{{ one.cause }}</span>{% endif %}
{%- if one.object %}
<span class="small">{{ one.object }}{% if one.field %}, {{ one.field }}{% endif %}</span>
{%- endif %}
{{ evidence(one) }}</td></tr>
{%- endfor %}
<tr class="none"{% if entry.findings %} hidden{% endif %}><td colspan="3" class="quiet">There is none.</td></tr>
{%- endcall %}
{%- endmacro -%}
"""

_PAGE = """
{%- macro overview() -%}
<section aria-labelledby="overview">
<h2 id="overview" class="card verdict lesser {{ report.verdict }}">{{ status(report.verdict, overall) }}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="One row for each cluster">
<table><caption>One row for each cluster.</caption>
<thead><tr><th scope="col">Cluster</th><th scope="col">Service</th><th scope="col">Verdict</th>
<th scope="col">In short</th><th scope="col">Findings</th></tr></thead>
<tbody>
{%- for entry in report.entries %}
<tr><th scope="row"><a href="#cluster-{{ loop.index }}">{{ entry.cluster }}</a></th>
<td class="breaks">{{ entry.subject or "none" }}</td><td>{{ status(entry.verdict, words[entry.verdict]) }}</td>
<td class="breaks">{{ entry.title }}</td><td class="nowrap">{{ entry|counts }}</td></tr>
{%- endfor %}
</tbody></table></div>
</section>
{%- endmacro -%}

{%- macro first_to_know(entry) -%}
{%- if entry.error %}
<article class="card verdict error"><p class="kicker">{{ mark("error") }}No result</p>
{{ headline(entry.error) }}
<p>The run ended before this cluster could be judged. Its log says why.</p></article>
{%- elif entry.causes %}
{%- for found in entry.causes %}
{%- set verdict = "warn" if found.status == "warn" else entry.verdict %}
{{ cause(found, "Root cause" if loop.first else "Further cause", verdict) }}
{%- endfor %}
{%- elif entry.verdict in ("fail", "inconclusive", "warn") %}
{{ worst(entry.findings[0], entry.verdict) }}
{%- else %}
<article class="card verdict {{ entry.verdict }}">
<p class="headline">{{ mark(entry.verdict) }}{{ entry.title }}</p></article>
{%- endif %}
{%- endmacro -%}

{%- macro facts(entry) -%}
<p class="facts"><span>{{ entry|counts }}</span>
{%- if entry.document.cluster %}<span class="breaks">{{ entry.document.cluster }}</span>{% endif %}
{%- if entry.document.nodes %}<span>asked from {{ entry.document.nodes|value }}</span>{% endif %}
{%- if entry.document.time %}<span>{{ entry.document.time }}</span>{% endif %}
<span>{{ "%.1f"|format(entry.document.elapsed) }} s</span></p>
{%- endmacro -%}

{%- macro surroundings(entry, name) -%}
<h3>How clients reach it</h3>
{{ draw(entry.topology|picture(entry.verdict, entry.causes), name) }}
{{ by_client(entry.topology, name) }}
{{ by_endpoint(entry.topology, name, entry.verdict) }}
{{ certificates(entry.topology, name) }}
{%- if entry.topology.omitted %}
<p class="quiet small">Left out for their number: {{ entry.topology.omitted|value }}.</p>
{%- endif %}
{%- endmacro -%}

{%- macro cluster(entry, name) -%}
<section class="cluster" id="{{ name }}" aria-labelledby="{{ name }}-name">
<h2 id="{{ name }}-name">{{ entry.cluster }}{% if entry.subject %}: {{ entry.subject }}{% endif %}</h2>
{%- if not entry.error %}{{ facts(entry) }}{% endif %}
{{ first_to_know(entry) }}
{%- if entry.topology %}{{ surroundings(entry, name) }}{% endif %}
{%- if not entry.error %}{{ findings(entry, name) }}{% endif %}
</section>
{%- endmacro -%}

<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ report.title }}: {{ words[report.verdict] }}</title>
<style>{{ style }}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the result</a>
<header class="top"><h1>{{ report.title }}</h1>
{%- if report.time %}
<p class="quiet small">As of <time datetime="{{ report.time }}">{{ report.time }}</time></p>
{%- endif %}
</header>
<main id="content">
{%- if report.entries|length != 1 %}{{ overview() }}{% endif %}
{%- for entry in report.entries %}
{{ cluster(entry, "cluster-" ~ loop.index) }}
{%- endfor %}
</main>
<footer><p>Made by plumbline.kubernetes. This page loads nothing and sends nothing.
<button type="button" id="save" hidden>Save the data as JSON</button></p></footer>
<script type="application/json" id="data">{{ data }}</script>
<script>{{ script }}</script>
</body>
</html>
"""

TEMPLATE = _MARKS + _CAUSES + _PICTURE + _TABLES + _PAGE
