# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What Kubernetes allows in names, labels, ports and addresses, so that a bad value is named before any request.

Each function returns the value in the form that the API wants, or raises an :class:`OptionError` that names the
option, what was given and what is expected.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ..kube.errors import OptionError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def refusal(option: str, given: object, expected: str, hint: str = "") -> OptionError:
    """The one shape of a refused option value."""
    observed = "nothing" if given is None else repr(given)
    return OptionError(
        f"{option}: {observed} given, expected {expected}" + (f"; {hint}" if hint else ""), option=option
    )


def dns_label(option: str, value: str) -> str:
    """A DNS label: the name of a Service, a namespace or a Service's port."""
    if len(value) > 63 or not _LABEL.fullmatch(value):
        raise refusal(option, value, "at most 63 of a-z, 0-9 and '-', not '-' at an end")
    return value


def dns_subdomain(option: str, value: str) -> str:
    """A DNS name: labels with dots between them, a dot at the end allowed by nobody but ExternalName."""
    if len(value) > 253 or not all(_LABEL.fullmatch(part) for part in value.split(".")):
        raise refusal(option, value, "a DNS name: at most 253 of a-z, 0-9, '-' and '.'")
    return value


def qualified_name(option: str, value: str) -> str:
    """A name with an optional DNS prefix: label keys, annotation keys, appProtocol, load balancer classes."""
    prefix, slash, name = value.rpartition("/")
    if len(name) > 63 or not _NAME_PART.fullmatch(name):
        raise refusal(option, value, "a name of at most 63 letters, digits, '-', '_' and '.', or prefix/name")
    if slash:
        dns_subdomain(option, prefix)
    return value


def label_map(option: str, value: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Labels or a selector. YAML reads C(version: 1) as a number; what is meant is beyond doubt."""
    return {key: _label_value(f"{option}.{key}", item) for key, item in _text(option, value).items()}


def annotation_map(option: str, value: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Annotations: keys as of labels, any text as value."""
    return _text(option, value)


def _text(option: str, value: t.Mapping[str, t.Any]) -> dict[str, str]:
    result = {}
    for key, item in value.items():
        qualified_name(f"{option} key", str(key))
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise refusal(f"{option}.{key}", item, "text", "quote it")
        result[str(key)] = str(item)
    return result


def _label_value(option: str, value: str) -> str:
    if value and (len(value) > 63 or not _NAME_PART.fullmatch(value)):
        raise refusal(option, value, "at most 63 letters, digits, '-', '_' and '.', alphanumeric at both ends")
    return value


def port_number(option: str, value: int, hint: str = "") -> int:
    """A TCP, UDP or SCTP port."""
    if not 1 <= value <= 65535:
        raise refusal(option, value, "a port from 1 to 65535", hint)
    return value


def port_or_name(option: str, value: t.Any) -> int | str:
    """A port of a container by number or by name; templates make text of numbers, so digits are a number."""
    text = str(value)
    if not isinstance(value, bool) and re.fullmatch(r"-?[0-9]+", text):
        return port_number(option, int(text))
    if len(text) > 15 or not _PORT_NAME.fullmatch(text):
        raise refusal(option, value, "a port from 1 to 65535, or a container port's name (at most 15 of a-z, 0-9, '-')")
    return text


def address(option: str, value: str) -> str:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise refusal(option, value, "an IPv4 or IPv6 address") from None
    return value


def network(option: str, value: str) -> str:
    """A network in CIDR form. Host bits may be set, as the API server allows."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise refusal(option, value, "a network such as 192.0.2.0/24") from None
    if "/" not in value:
        raise refusal(option, value, "a network such as 192.0.2.0/24", f"for one address write {value}/32 or /128")
    return value
