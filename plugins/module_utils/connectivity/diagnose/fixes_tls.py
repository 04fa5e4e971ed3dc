# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What would mend a certificate: another one in the Secret that the pods mount, and a restart that loads it."""

from __future__ import annotations

import typing as t

from .. import names
from ..commands import piped, restart
from ..facts import sources
from ..look import Look
from ..snapshot import family_of
from .fix import Fix, task

if t.TYPE_CHECKING:
    from .causes import Cause


def _secret(look: Look) -> str:
    """The name of the TLS Secret that the pods take their certificate from; empty where that is not one."""
    if look.question.tls.secret:
        return look.question.tls.secret
    pods = {pod.uid for pod in look.after.pods}
    used = {
        name
        for body in look.facts.all("pods")
        if body["metadata"]["uid"] in pods
        for kind, name, _keys, _optional in sources(body["spec"])
        if kind == "Secret"
    }
    pairs = {body["metadata"]["name"] for body in look.facts.all("secrets") if "tls.crt" in (body.get("keys") or ())}
    found = used & pairs
    return found.pop() if len(found) == 1 else ""


def _restart(look: Look) -> str:
    owners = {pod.owner for pod in look.after.pods if pod.owner.startswith("Deployment ")}
    if len(owners) != 1:
        return ""
    name = owners.pop().partition(" ")[2]
    return f" && {restart('deployment', name, look.question.namespace)}"


def _further(look: Look) -> dict[str, t.Any]:
    """Options for names and addresses that clients use beside the Service's own names."""
    asked = look.question.tls
    wanted = {asked.server_name, *asked.names} - {""}
    service, domain = look.service, look.question.domain or names.DEFAULT_DOMAIN
    wanted -= set(names.forms(service.name, service.namespace, domain))
    addresses = sorted(each for each in wanted if family_of(each))
    own = set(addresses) <= set(service.cluster_ips)
    return {
        **({"names": sorted(wanted - set(addresses))} if wanted - set(addresses) else {}),
        **({"include": ["cluster_ips"]} if addresses and own else {"addresses": addresses} if addresses else {}),
    }


def _certificate(look: Look, cause: Cause) -> Fix:
    """By the CA that clients trust, for all names that they use."""
    service, secret = look.service, _secret(look)
    self_signed = cause.evidence.get("issuer") is not None and _is_self_signed(cause)
    issuer = (
        {"issuer": "self_signed"}
        if self_signed
        else {
            "issuer": "authority",
            "authority": {"name": "CA", "namespace": "CA_NAMESPACE", "passphrase_file": "PASSPHRASE_FILE"},
        }
    )
    options = {
        "name": f"{service.name}-tls",
        "namespace": service.namespace,
        **issuer,
        "service": service.name,
        **_further(look),
        **({"alias": secret} if secret else {}),
        "force": True,
    }
    why = cause.why or "let a CA that the clients trust issue another one for all names that they use"
    return Fix(f"{why}; then restart the pods, so that they load it", _line(look, secret), task("tls_secret", options))


def _line(look: Look, secret: str) -> str:
    """Nothing changes an immutable Secret: there, the task makes the next one."""
    namespace, body = look.question.namespace, look.facts.named("secrets", secret, look.question.namespace) or {}
    if body.get("immutable"):
        return ""
    given = ("-n", namespace, "--cert=CHAIN.pem", "--key=KEY.pem")
    return piped("secret", "tls", secret or "SECRET", *given) + _restart(look)


def _is_self_signed(cause: Cause) -> bool:
    return cause.evidence.get("certificates_sent") == 1 and "self-signed" in cause.title


def _trust(look: Look, cause: Cause) -> Fix:
    """Another certificate; or clients that trust the CA, which is for those who know it."""
    fix = _certificate(look, cause)
    return Fix(f"{fix.text}; or give the clients the certificate of its CA (tls.bundle)", fix.kubectl, fix.task)


MAKERS: dict[str, t.Callable[[Look, Cause], Fix | None]] = {"certificate": _certificate, "trust": _trust}
