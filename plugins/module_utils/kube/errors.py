# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Errors of the Kubernetes edge: each is one line that stands alone.

Everything that can go wrong between a module and an API server is raised as a :class:`KubeError`. Its text
names the cluster, the verb, the object, what was observed and a hint; `details` carries the same facts as
data for the module's result. Nothing here ever quotes a request body or a Secret's value.
"""

from __future__ import annotations

import typing as t


class KubeError(Exception):
    """Base of everything this package raises.

    Args:
        message: one line, complete in itself.
        details: JSON-serialisable facts for the result of the module that failed.
    """

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(one_line(message))
        self.details = details


class ConfigError(KubeError):
    """The connection options contradict each other, or name a file or context that is not there."""


class OptionError(KubeError):
    """An option's value cannot work, found before any request."""


class ConnectionFailed(KubeError):
    """No HTTP answer from the API server: refused, timed out, TLS or name failure."""


class TimeOver(ConnectionFailed):
    """There is no answer since the time that the whole run has is over, which says nothing about who was asked."""


class ApiError(KubeError):
    """The API server answered with an error status.

    Attributes:
        status: HTTP status code.
        reason: `reason` of the Status object, e.g. `AlreadyExists`.
    """

    def __init__(self, message: str, *, status: int, reason: str, **details: t.Any) -> None:
        super().__init__(message, status=status, reason=reason, **details)
        self.status = status
        self.reason = reason


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the credentials are good, the right is missing (or an admission plugin said no)."""


class NotFound(ApiError):
    """404 where absence is not an answer, e.g. the namespace of an object to be created."""


class Gone(ApiError):
    """410: the resource version is too old; list again."""


class Conflict(ApiError):
    """409: the object changed or, under server-side apply, another manager owns a field.

    Attributes:
        conflicts: one `(field, manager)` pair per field that is owned by somebody else.
    """

    def __init__(self, message: str, *, conflicts: tuple[tuple[str, str], ...] = (), **kwargs: t.Any) -> None:
        super().__init__(message, conflicts=[{"field": f, "manager": m} for f, m in conflicts], **kwargs)
        self.conflicts = conflicts


class Invalid(ApiError):
    """422 or 400: the API server refuses the object as it is."""


class WaitTimeout(KubeError):
    """The state waited for was not reached in time."""


class WaitFailed(KubeError):
    """The state waited for can no longer be reached, with the cause."""


def one_line(text: str, limit: int = 1000) -> str:
    """Fold `text` to a single printable line of at most `limit` characters.

    Messages quote what API servers and pods say, and event texts may hold escapes or NUL, so everything
    that is not printable becomes a space.
    """
    folded = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def missing_account(text: str) -> str:
    """`namespace/name` of the service account for want of which a pod was refused, by the API server's words.

    A namespace that was made a moment ago gets its own, `default`, from a controller, which a busy control plane may
    take seconds for (plugin/pkg/admission/serviceaccount/admission.go).
    """
    rest = text.partition("error looking up service account ")[2]
    return rest.partition(":")[0] if "not found" in rest else ""


def cannot(verb: str, resource: str, namespace: str | None = None, subresource: str = "") -> str:
    """Which right is missing, as everything that does without it says: `cannot list events in namespace demo`."""
    what = f"cannot {verb} {resource}/{subresource}" if subresource else f"cannot {verb} {resource}"
    return f"{what} in namespace {namespace}" if namespace else what


def lacks_right(why: str) -> bool:
    """Whether a reason is a missing right, as :func:`cannot` says it."""
    return why.startswith("cannot ")
