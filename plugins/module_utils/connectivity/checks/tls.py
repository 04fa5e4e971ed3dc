# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Is what the HTTPS ports serve trusted, timely, of the right name, and the same everywhere? A part of the layer http.

OpenSSL reports the first thing that is wrong with a chain, and curl folds five causes into one exit code. So the
certificate itself is judged too, and each class of failure is a finding of its own.
"""

from __future__ import annotations

import ssl
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ...pki.certificates import (
    Chain,
    covers,
    dns_names,
    facts,
    ip_addresses,
    is_self_signed,
    issued_by,
    parse_chain,
    stamp,
)
from ...pki.errors import PkiError
from ..acceptance import CLIENTS, is_server, refusals, weaknesses
from ..look import FITS, Look, Mounted, Observation
from ..result import Finding, short
from ..scope import Probe
from ..snapshot import POD_TEMPLATE_HASH, Pod, family_of
from .common import Bench
from .paths import PURPOSES, relevant

_VERSIONS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
# OpenSSL's verify codes (x509_vfy.h): time; no way to the bundle; name, purpose.
_TIME = (9, 10)
_TRUST = (2, 7, 18, 19, 20, 21, 27)
_NAME, _PURPOSE = (62, 64), (26,)
# Weak keys and digests, of the leaf and of CAs.
_WEAK, _STRONG = (66, 67, 68), ["RSA of 2048 bits, P-256 or Ed25519", "SHA-256 or better"]
_NOTHING_TO_VERIFY_WITH, _NO_AGREEMENT = -1, -2
# What some clients take all the same: a common name, any purpose.
_BY_CLIENT = ("TL-08", "TL-21")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One certificate as one probe was served it.

    Attributes:
        below: the version, older than wanted, that the server agreed to as well.
        code, text: how the verification ended, see the agent.
        clock: what the client's clock said.
    """

    probe: Probe
    chain: Chain
    protocol: str
    below: str
    code: int
    text: str
    clock: datetime

    @property
    def fingerprint(self) -> str:
        """Of the leaf."""
        return str(facts(self.chain[0])["fingerprint"])


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a sighting; `{}` in the message stands for who serves it."""

    check: str
    message: str
    observed: t.Any
    expected: t.Any
    cause: str = ""
    warning: bool = False


def check(bench: Bench, look: Look) -> list[Finding]:
    """All checks of TLS."""
    sightings, unreadable = _sightings(look)
    label = look.service.label
    found = [bench.failed("TL-03", f"{place}: {why}", object=label, field=place) for place, why in unreadable]
    roots = parse_chain(look.question.tls.bundle.encode(), what="tls.bundle") if look.question.tls.bundle else ()
    by_port: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        by_port.setdefault(sighting.probe.port.label if sighting.probe.port else "", []).append(sighting)
    for port, seen in by_port.items():
        judge = _Port(bench, look, roots, port, seen)
        found += judge.problems() + judge.equal() + judge.stored() + judge.mounted() + judge.clients()
    found += _pair(bench, look)
    if by_port and not roots:
        found.append(bench.skipped("TL-10", "whether clients can trust the certificate is not known: no bundle given"))
    return found


def _sightings(look: Look) -> tuple[list[Sighting], list[tuple[str, str]]]:
    """What was served, and where something was served that is no certificate.

    Pods that are not ready count only where no others serve: in a roll-out they are not asked by clients.
    """
    found, unreadable = [], {}
    decoded: dict[tuple[bytes, ...], Chain] = {}
    asked = [pair for purpose in PURPOSES for pair in relevant(look, purpose) if pair[0].task["type"] == "https"]
    asked = asked or [pair for pair in look.seen("unready") if pair[0].task["type"] == "https"]
    for probe, observation in asked:
        for served in observation.value.get("served") or ():
            key = tuple(served["chain"])
            try:
                if key not in decoded:
                    decoded[key] = parse_chain("".join(map(ssl.DER_cert_to_PEM_cert, key)).encode(), what="served")
            except PkiError as error:
                unreadable[probe.target] = str(error)
                continue
            found.append(_sighting(probe, observation, served, decoded[key]))
    return found, sorted(unreadable.items())


def _sighting(probe: Probe, observation: Observation, served: t.Mapping[str, t.Any], chain: Chain) -> Sighting:
    clock = datetime.fromtimestamp(observation.value["clock"], UTC)
    return Sighting(probe, chain, served["protocol"], served["below"], served["code"], served["text"], clock)


def _pair(bench: Bench, look: Look) -> list[Finding]:
    """TL-04: servers refuse to start, or to load it, where the key beside a certificate is another one's.

    Silent where the key was not read: then this collection wrote the Secret, which takes no pair that does not match.
    """
    stored = look.stored
    if stored is None or not stored.pair:
        return []
    if stored.pair == FITS:
        return [bench.passed("TL-04", f"the private key of {stored.secret} is that of its certificate")]
    return [
        bench.failed(
            "TL-04",
            f"{stored.secret} {stored.pair}",
            object=stored.secret,
            field="data.tls.key",
            expected="the private key of the certificate in tls.crt",
            cause="pods that have loaded an earlier pair go on; one that starts with this one fails",
        )
    ]


class _Port:
    """The judge of what one port serves."""

    def __init__(self, bench: Bench, look: Look, roots: Chain, port: str, seen: t.Sequence[Sighting]) -> None:
        self.bench, self.look, self.roots, self.port, self.seen = bench, look, roots, port, seen
        self.pods: dict[str, Pod] = {}
        for one in seen:
            pod = look.after.pod(one.probe.endpoint.pod_uid) if one.probe.endpoint else None
            if pod:
                self.pods[pod.uid] = pod
        self.judged = self._judged()
        self.failed: set[str] = set()  # leaves that every client refuses

    # ----- each certificate by itself

    def _judged(self) -> list[Sighting]:
        """All but what clients outside refuse and those inside do not: NP-05 says that, and who is to blame."""
        inside = {one.code for one in self.seen if one.probe.vantage != self.look.plan.outside}
        return [
            one
            for one in self.seen
            if one.probe.vantage != self.look.plan.outside or one.code <= 0 or not inside or one.code in inside
        ]

    def problems(self) -> list[Finding]:
        groups: dict[tuple[str, str, str], list[tuple[Sighting, Problem]]] = {}
        for one in self.judged:
            for problem in self._wrong(one):
                groups.setdefault((problem.check, problem.message, one.fingerprint), []).append((one, problem))
        self.failed = {key[2] for key, pairs in groups.items() if key[0] not in _BY_CLIENT and not pairs[0][1].warning}
        good = len({one.fingerprint for one in self.judged} - {key[2] for key in groups})
        complaints = [self._complaint(pairs) for _key, pairs in sorted(groups.items(), key=_rank)]
        until = facts(self.judged[0].chain[0])["not_after"]
        what = "trusted, timely" if self.roots else "timely"
        message = f"port {self.port} serves a certificate that is {what} and for its name, until {until}"
        return self.bench.verdict("TL-11", complaints, good, message)

    def _complaint(self, pairs: t.Sequence[tuple[Sighting, Problem]]) -> Finding:
        problem = pairs[0][1]
        who, subjects = self._who([sighting for sighting, _problem in pairs])
        make = self.bench.warned if problem.warning else self.bench.failed
        return make(
            problem.check,
            problem.message.replace("{}", who, 1),
            object=who,
            field=f"port {self.port}",
            observed=problem.observed,
            expected=problem.expected,
            cause=problem.cause,
            evidence=_evidence([sighting for sighting, _problem in pairs]),
            subjects=subjects,
        )

    def _who(self, seen: t.Sequence[Sighting]) -> tuple[str, frozenset[str]]:
        """The one pod that is different from the others, else the Service."""
        pods = {one.probe.endpoint.pod_uid for one in seen if one.probe.endpoint} & self.pods.keys()
        subjects = frozenset({self.look.service.uid, *pods})
        if len(pods) == 1 and len(self.pods) > 1:
            return self.pods[min(pods)].label, subjects
        return self.look.service.label, subjects

    def _wrong(self, one: Sighting) -> list[Problem]:
        found = (
            self._time(one)
            + _name(one, self.look.question.tls.names)
            + _purpose(one)
            + _strength(one)
            + self._protocol(one)
            + self._trust(one)
        )
        explained = one.code in (0, _NOTHING_TO_VERIFY_WITH, _NO_AGREEMENT) or any(not p.warning for p in found)
        if not explained:
            found.append(
                Problem("TL-11", "clients refuse the certificate of {}", one.text, "a certificate that verifies")
            )
        return found

    def _time(self, one: Sighting) -> list[Problem]:
        now, found = self.look.now, []
        above = [root for root in self.roots if one.code in _TIME and root.subject == one.chain[-1].issuer]
        for certificate in dict.fromkeys((*one.chain, *above)):
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            what = "the certificate of {}"
            if certificate != one.chain[0]:
                what = f"the CA certificate {_subject(certificate)} above the one of {{}}"
            if now > end:
                found.append(Problem("TL-05", f"{what} has expired", f"until {stamp(end)}", f"after {stamp(now)}"))
            if now < begin:
                found.append(
                    Problem("TL-05", f"{what} is not yet valid", f"from {stamp(begin)}", f"before {stamp(now)}")
                )
        if one.code in _TIME and not found:
            cause = "look at the time service of that node, or of the host that this ran on, before the certificate"
            is_what = "has expired" if one.code == 10 else "is not yet valid"
            message = f"by the clock of {one.probe.vantage.label} the certificate of {{}} {is_what}"
            found.append(Problem("TL-17", message, stamp(one.clock), f"about {stamp(now)}", cause))
        return found or self._threshold(one)

    def _threshold(self, one: Sighting) -> list[Problem]:
        leaf, days = one.chain[0], self.look.question.tls.minimum_days
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        left = leaf.not_valid_after_utc - self.look.now
        if left >= min(timedelta(days=days), life / 3):
            return []
        expected = f"at least {days} days, or a third of its life"
        return [Problem("TL-06", "the certificate of {} expires soon", _days(left), expected, warning=True)]

    def _protocol(self, one: Sighting) -> list[Problem]:
        wanted = self.look.question.tls.minimum_version
        if _age(one.protocol) < _age(wanted):
            message = "{} speaks old versions of TLS only"
            return [Problem("TL-15", message, one.protocol, f"{wanted} or newer")]
        if one.code == _NO_AGREEMENT:
            return [Problem("TL-11", "{} refuses the TLS handshake with current settings", one.text, "a handshake")]
        if one.below:
            message = "{} speaks old versions of TLS, too"
            return [Problem("TL-15", message, one.below, f"{wanted} or newer only", warning=True)]
        return []

    def _trust(self, one: Sighting) -> list[Problem]:
        if one.code not in _TRUST:
            return []
        leaf, last = one.chain[0], one.chain[-1]
        trusted = [_subject(root) for root in self.roots]
        if is_self_signed(leaf):
            message, cause = "{} serves a self-signed certificate that is not in the bundle", ""
        elif any(root.subject == last.issuer for root in self.roots):
            message = "{} serves a certificate of an unknown CA"
            cause = "the bundle has a CA of that name, but with another key: it was made anew"
        elif self._sent_elsewhere(last):
            message = "{} does not send the intermediate certificate"
            cause = f"others send {_name_of(last.issuer)}; tls.crt must hold the leaf, then each one's issuer"
        elif len(one.chain) == 1:
            message = "{} serves a certificate without a way to the bundle: unknown CA, or the intermediate is missing"
            cause = "its issuer is neither in the bundle nor sent; tls.crt must hold the leaf, then each one's issuer"
        else:
            message, cause = "{} serves a certificate of an unknown CA", ""
        return [Problem("TL-10", message, f"issuer {_name_of(last.issuer)}", trusted, cause)]

    def _sent_elsewhere(self, certificate: t.Any) -> bool:
        others = {upper for one in self.seen for upper in one.chain[1:]} | set(self.roots)
        return any(issued_by(certificate, upper) for upper in others - {certificate})

    # ----- all of them together

    def equal(self) -> list[Finding]:
        """TL-14: pods of one template serve the same certificate; those of a roll-out may differ."""
        by_leaf: dict[str, set[str]] = {}
        for one in self.seen:
            if one.probe.endpoint and one.probe.endpoint.pod_uid in self.pods:
                by_leaf.setdefault(one.fingerprint, set()).add(one.probe.endpoint.pod_uid)
        if len(by_leaf) < 2:
            message = f"{len(self.pods)} pod(s) serve the same certificate on port {self.port}"
            return self.bench.verdict("TL-14", (), len(self.pods), message)
        templates = {dict(pod.labels).get(POD_TEMPLATE_HASH) for pod in self.pods.values()}
        if len(templates) > 1:
            why = "the pods are of several templates: they may serve different certificates"
            return [self.bench.skipped("TL-14", why)]
        service = self.look.service
        return [
            self.bench.failed(
                "TL-14",
                f"the pods of {service.label} serve different certificates on port {self.port}",
                object=service.label,
                field=f"port {self.port}",
                observed={leaf[:16]: sorted(self.pods[uid].name for uid in uids) for leaf, uids in by_leaf.items()},
                expected="one certificate",
                cause="a pod has not loaded the current one: a mounted file changes, the server's memory does not",
                evidence=_evidence(self.seen),
                subjects=frozenset({service.uid, *self.pods}),
            )
        ]

    def stored(self) -> list[Finding]:
        """TL-13: what is served is what the Secret holds."""
        stored = self.look.stored
        if stored is None:
            return []
        if stored.denied:
            return [self.bench.skipped("TL-13", f"stored and served certificate were not compared: {stored.denied}")]
        if not stored.fingerprint:
            check_id = "TL-03" if stored.unreadable else "TL-01"
            why = stored.unreadable or f"there is no {stored.secret}"
            return [self.bench.failed(check_id, why, object=stored.secret, expected="a Secret with a certificate")]
        # A load balancer may end TLS with a certificate of its own: NP-05 says whether clients trust that.
        seen = [one for one in self.seen if one.probe.vantage != self.look.plan.outside]
        other = [one for one in seen if one.fingerprint != stored.fingerprint]
        complaints = [self._not_stored(stored.secret, stored.fingerprint, other)] if other else []
        message = f"port {self.port} serves what {stored.secret} holds"
        return self.bench.verdict("TL-13", complaints, len(seen) - len(other), message)

    def _not_stored(self, secret: str, fingerprint: str, other: t.Sequence[Sighting]) -> Finding:
        who, subjects = self._who(other)
        return self.bench.failed(
            "TL-13",
            f"{who} serves another certificate than {secret} holds",
            object=who,
            field=f"port {self.port}",
            observed=sorted({one.fingerprint for one in other}),
            expected=fingerprint,
            cause="the pods name another Secret, or loaded the certificate before it was replaced",
            evidence=_evidence(other),
            subjects=subjects,
        )

    def mounted(self) -> list[Finding]:
        """TL-19: what a pod serves is what it has mounted, and that is what the Secret holds."""
        path = self.look.question.tls.mount_path
        if not path:
            return []
        looked = [one for one in self.look.mounted if one.pod.uid not in self.look.touched]
        if not looked:
            return [self.bench.skipped("TL-19", f"no pod that is ready and stayed as it was mounts anything at {path}")]
        complaints = [finding for one in looked if (finding := self._not_mounted(one)) is not None]
        complained = {finding.object for finding in complaints}
        good = sum(one.verdict == "read" and one.pod.label not in complained for one in looked)
        message = f"{good} pod(s) serve on port {self.port} what they have mounted at {path}"
        unread = [self._unread(one) for one in looked if one.verdict in ("skipped", "undecided")]
        return [*self.bench.verdict("TL-19", complaints, good, message), *unread[:1]]

    def _unread(self, one: Mounted) -> Finding:
        what, pod = f"what {one.pod.label} has mounted was not read: {one.detail}", one.pod
        return self.bench.unread("TL-19", what, verdict=one.verdict, object=pod.label, subjects=frozenset({pod.uid}))

    def _not_mounted(self, one: Mounted) -> Finding | None:
        stored, path = self.look.stored, self.look.question.tls.mount_path
        probes = [each for each in self.seen if each.probe.endpoint and each.probe.endpoint.pod_uid == one.pod.uid]
        served = {each.fingerprint for each in probes}
        if one.verdict == "unreadable":
            what, cause, expected = f"has no certificate at {path}: {one.detail}", "", "a certificate"
        elif one.verdict == "read" and stored and stored.fingerprint and one.fingerprint != stored.fingerprint:
            what, expected = f"has mounted another certificate than {stored.secret} holds", stored.fingerprint
            cause = (
                "it mounts another Secret, or its kubelet has not updated the file yet, which takes a minute or two; a "
                "file mounted by subPath is never updated"
            )
        elif one.verdict == "read" and served - {one.fingerprint}:
            what, expected = f"serves another certificate than it has mounted at {path}", one.fingerprint
            cause = "the server has not read the file since it changed: restart the pod"
        else:
            return None
        return self.bench.failed(
            "TL-19",
            f"{one.pod.label} {what}",
            object=one.pod.label,
            field=f"port {self.port}",
            observed=one.fingerprint if "mounted another" in what else sorted(served),
            expected=expected,
            cause=cause,
            subjects=frozenset({self.look.service.uid, one.pod.uid}),
        )

    def clients(self) -> list[Finding]:
        """TL-22: which common clients accept what is served; silent where nobody does."""
        found = []
        for one in {one.fingerprint: one for one in self.judged}.values():
            refused = refusals(one.chain, self.roots)
            if one.fingerprint in self.failed or len(refused) == len(CLIENTS):
                continue
            accept = short([client for client in CLIENTS if client not in refused])
            evidence = {**_evidence([one]), "refused_by": refused}
            if not refused:
                message = f"{accept} accept what port {self.port} serves"
                found.append(self.bench.passed("TL-22", message, evidence=evidence))
                continue
            who, subjects = self._who([each for each in self.judged if each.fingerprint == one.fingerprint])
            found.append(
                self.bench.warned(
                    "TL-22",
                    f"not all common clients accept what {who} serves: only {accept}",
                    object=who,
                    field=f"port {self.port}",
                    observed={client: "; ".join(reasons) for client, reasons in refused.items()},
                    expected=f"accepted by {short(CLIENTS)}",
                    evidence=evidence,
                    subjects=subjects,
                )
            )
        return found


# ----- pure


def _rank(item: tuple[tuple[str, str, str], list[tuple[Sighting, Problem]]]) -> tuple[bool, int, tuple[str, str, str]]:
    """Failures before warnings, what most clients saw first."""
    key, pairs = item
    return pairs[0][1].warning, -len(pairs), key


def _name(one: Sighting, further: t.Sequence[str]) -> list[Problem]:
    leaf, wanted = one.chain[0], str(one.probe.task["server_name"])
    names = [*dns_names(leaf), *ip_addresses(leaf)]
    if not names:
        message = "the certificate of {} has a common name only, which Go, urllib3 and others ignore"
        return [Problem("TL-08", message, _subject(leaf), f"a subjectAltName with {wanted}")]
    lacking = [each for each in (wanted, *further) if not any(covers(name, each) for name in names)]
    if not lacking:
        return []
    if wanted not in lacking:
        return [Problem("TL-07", "the certificate of {} lacks names that it must be for", names, short(lacking))]
    cause = (
        "clients use an address: let them use a name, or issue the certificate for the addresses too "
        "(tls_secret: include)"
        if family_of(wanted)
        else ""
    )
    return [Problem("TL-07", "the certificate of {} is for other names", names, short(lacking), cause)]


def _purpose(one: Sighting) -> list[Problem]:
    if is_server(one.chain[0]):
        return []
    return [
        Problem("TL-21", "the certificate of {} is not for servers", "no serverAuth", "extendedKeyUsage serverAuth")
    ]


def _strength(one: Sighting) -> list[Problem]:
    """TL-09: keys and signatures that current clients refuse, or soon will."""
    found = []
    for certificate in one.chain:
        what = "the certificate of {}" if certificate == one.chain[0] else f"the CA certificate {_subject(certificate)}"
        weak = weaknesses(certificate)
        if weak:
            message = f"{what} has a weak key or signature"
            found.append(Problem("TL-09", message, weak, _STRONG, warning=one.code not in _WEAK))
    return found


def _evidence(seen: t.Sequence[Sighting]) -> dict[str, t.Any]:
    """Public facts of the first leaf, and where it was seen."""
    leaf = facts(seen[0].chain[0])
    told = ("serial", "fingerprint", "names", "addresses", "issuer", "not_before", "not_after")
    places = sorted({f"{one.probe.target} from {one.probe.vantage.label}" for one in seen})
    verified = {"verification": seen[0].text} if seen[0].text else {}
    return {**{key: leaf[key] for key in told}, **verified, "certificates_sent": len(seen[0].chain), "seen_at": places}


def _subject(certificate: t.Any) -> str:
    return _name_of(certificate.subject) or f"serial {certificate.serial_number:x}"


def _name_of(name: t.Any) -> str:
    return str(name.rfc4514_string())


def _age(version: str) -> int:
    return _VERSIONS.index(version) if version in _VERSIONS else len(_VERSIONS)


def _days(left: timedelta) -> str:
    return f"{left.days} days" if left.days else f"{left.seconds // 3600} hours"
