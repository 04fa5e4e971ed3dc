# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Let pods behind a Service call themselves by its address: the way back into the pod that a packet came from.

Nobody but the pod itself can try that. So the connections are opened in its container, with what the image has for it;
nothing is sent over them. The Service chooses an endpoint for each, so that it takes several to be led to oneself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .inside import UNDECIDED, Heard, Inside
from .look import Hairpin
from .ports import tcp_ports
from .snapshot import Container, Endpoint, Pod, Snapshot, family_of, host_port

# Connections for each endpoint: that all of them miss the pod itself happens less than 2 times in 100.
PER_ENDPOINT = 4
_MOST = 24
# Other endpoints that a pod asks at their own addresses.
_MOST_OTHERS = 3
_ALLOWED = re.compile(r"[0-9a-f.:]+")

# Arguments: address, port, number of connections; and again for each further target. Prints for each target how many
# were opened. Without a program that can, it ends as a shell does that finds none.
SCRIPT = """
if command -v bash && command -v timeout; then
  open() { timeout 2 bash -c ": <>/dev/tcp/$1/$2"; }
elif nc -h 2>&1 | grep -q -e ' -z'; then
  open() { nc -z -w 2 "$1" "$2"; }
else
  exit 127
fi >/dev/null 2>&1
while [ $# -ge 3 ]; do
  (
    i=0
    while [ $i -lt "$3" ]; do
      (open "$1" "$2" >/dev/null 2>&1 && echo "$1 $2") &
      i=$((i + 1))
    done
    wait
  ) &
  shift 3
done
wait
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one pod is to try.

    Attributes:
        address, port: of the Service.
        of: how many endpoints may answer there.
        others: address and port of other pods.
    """

    pod: Pod
    container: Container
    address: str
    port: int
    of: int
    others: tuple[tuple[str, int], ...] = ()

    @property
    def tries(self) -> int:
        """Connections to the Service."""
        return min(PER_ENDPOINT * self.of, _MOST)

    @property
    def words(self) -> list[str]:
        """The command."""
        asked = [(self.address, self.port, self.tries), *((address, port, 1) for address, port in self.others)]
        return ["sh", "-c", SCRIPT, "sh", *(str(word) for target in asked for word in target)]


def to_try(snapshot: Snapshot, most: int) -> list[Trial]:
    """Which pods behind ready endpoints try it: at one TCP port, and only where every endpoint may be chosen."""
    service = snapshot.service
    if service is None or service.external or not service.cluster_ips or service.session_affinity:
        return []
    if service.internal_local or not tcp_ports(service):
        return []
    port, address = tcp_ports(service)[0], service.cluster_ips[0]
    numbered = [
        (endpoint, number)
        for endpoint in snapshot.endpoints
        if endpoint.ready and endpoint.family == family_of(address) and _ALLOWED.fullmatch(endpoint.address)
        if (number := endpoint.port(port.name)) is not None
    ]
    found: list[Trial] = []
    for endpoint, _number in sorted(numbered, key=lambda item: item[0].pod):
        pod = snapshot.pod(endpoint.pod_uid)
        container = next((one for one in pod.containers if one.started), None) if pod else None
        if pod and container and not pod.host_network:
            others = [(each.address, number) for each, number in numbered if _is_other(each, endpoint)]
            found.append(Trial(pod, container, address, port.port, len(numbered), tuple(others[:_MOST_OTHERS])))
    return found[:most]


def _is_other(one: Endpoint, than: Endpoint) -> bool:
    return one.address != than.address


def attempt(inside: Inside, trial: Trial) -> Hairpin | None:
    """How a pod fared; None when it is gone."""
    purpose = "and bash, or nc with -z, to open connections with"
    said = inside.run(trial.pod, trial.container, trial.words, purpose)
    return None if said is None else judge(trial, said)


def judge(trial: Trial, said: Heard) -> Hairpin:
    """What a container said."""
    if said.result is None:
        return Hairpin(trial.pod, said.verdict, said.detail)
    if said.result.verdict != "ok":
        return Hairpin(trial.pod, UNDECIDED, said.result.detail)
    lines = said.result.stdout.splitlines()
    answered = lines.count(f"{trial.address} {trial.port}")
    others = all(f"{address} {port}" in lines for address, port in trial.others)
    return Hairpin(
        trial.pod,
        target=host_port(trial.address, trial.port),
        of=trial.of,
        tries=trial.tries,
        answered=min(answered, trial.tries),
        sure=trial.tries >= PER_ENDPOINT * trial.of,
        others=others,
    )
