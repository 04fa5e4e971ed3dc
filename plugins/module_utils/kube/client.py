# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The one gateway to an API server: every request of the collection passes through :class:`Cluster`.

Built on the `kubernetes` library for configuration, credentials and TLS. Bodies stay plain dicts: building the
library's model objects for a list of pods costs more than fetching it, and would drop fields it does not know.
"""

from __future__ import annotations

import copy
import json
import random
import re
import threading
import time
import typing as t
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

try:
    import urllib3
    from kubernetes.client.rest import RESTClientObject
except ImportError:  # module.run() reports the missing library
    pass

from .connection import Connection, connection
from .deadline import NEVER, Deadline
from .errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    TimeOver,
    Unauthorized,
    one_line,
)
from .kinds import ACCESS_REVIEW, API_GROUPS, POD, SECRET, Kind
from .options import resolve

MANAGER = "plumbline"
# As long as Go clients of Kubernetes wait for a TLS handshake: a busy API server was seen to need more than 5 s.
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
# The API server passes a request for a log on to the kubelet, and one for a pod to that, and waits for who is dead.
LOG_TIMEOUT = 5.0
POD_TIMEOUT = 5.0
ATTEMPTS = 4
LONGEST_PAUSE = 5.0
PAGE = 500

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/strategic-merge-patch+json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CLASSES: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}
_HINTS = {
    401: "the credentials are missing, wrong or expired",
    403: "see: kubectl auth can-i --list",
    429: "the server is overloaded",
}

Body = dict[str, t.Any]
_T = t.TypeVar("_T")
_Pages = tuple[list[_T], str]


@dataclass(frozen=True, slots=True)
class Listing:
    """A consistent list: `items` as of `resource_version`."""

    items: list[Body]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a pod, or the API server in its place, answered; names of headers are in lower case."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    method: str
    kind: Kind
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: t.Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = READ_TIMEOUT
    tail: str = ""

    @property
    def url(self) -> str:
        path = self.kind.path(self.namespace, self.name, self.subresource) + self.tail
        return f"{path}?{urlencode(self.query)}" if self.query else path

    @property
    def repeatable(self) -> bool:
        # A POST whose answer was lost may have created its object.
        return self.method != "POST"

    @property
    def right(self) -> str:
        """What RBAC calls the right to send this."""
        verbs = {"apply": "create and patch", "delete": "delete" if self.name else "deletecollection"}
        resource = "/".join(filter(None, (self.kind.plural, self.subresource)))
        return f"{verbs.get(self.verb, self.verb)} {resource}"

    def describe(self) -> str:
        what = self.kind.describe(self.name, self.namespace)
        return f"{self.verb} {self.subresource} of {what}" if self.subresource else f"{self.verb} {what}"


@dataclass(slots=True)
class _Traffic:
    """What there was to tell of all requests so far."""

    requests: int = 0
    notices: list[str] = field(default_factory=list)
    skew: float | None = None


class Cluster:
    """One API server, with the credentials of one user.

    Methods may be called from several threads. Each raises a subclass of :class:`KubeError`. Every call has a
    connect and a read timeout; 429, 5xx and reset connections are tried again a bounded number of times.

    Attributes:
        label: how messages name this cluster.
        deadline: when every request is over, answered or not, apart from watches, which whoever opened them ends.
    """

    def __init__(self, link: Connection) -> None:
        self._link = link
        if not link.configuration.verify_ssl:
            # As was wanted; and what a library writes to stderr, Ansible reports as a fault.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._pool = RESTClientObject(link.configuration).pool_manager
        self._lock = threading.Lock()
        self._traffic = _Traffic()
        self.label = link.label
        self.deadline = NEVER

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._traffic.requests

    @property
    def notices(self) -> t.Sequence[str]:
        """Texts of the `Warning` headers the server sent, without repetition."""
        return self._traffic.notices

    @property
    def skew(self) -> float | None:
        """Seconds by which the server's clock is ahead of ours, from the `Date` header of its last answer.

        None as long as there was none. It counts whole seconds.
        """
        return self._traffic.skew

    def until(self, deadline: Deadline) -> Cluster:
        """This one, with another deadline; connections and counts are shared."""
        other = copy.copy(self)
        other.deadline = deadline
        return other

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any]) -> Cluster:
        """Prepare a connection from module parameters and environment; no request is sent.

        Raises:
            ConfigError: the options do not describe a connection.
        """
        return cls(connection(resolve(params)))

    # ----- reading

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Body | None:
        """One object, or None where it does not exist."""
        try:
            return self._json(_Request("get", "GET", kind, namespace, name))
        except NotFound:
            return None

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Listing:
        """All objects that match the selectors, read in pages of one consistent revision."""
        try:
            return Listing(*self._pages(kind, namespace, labels, fields, PAGE, _itself))
        except Gone:  # the revision was compacted between two pages: once more, in one piece
            return Listing(*self._pages(kind, namespace, labels, fields, 0, _itself))

    def collect(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        keep: t.Callable[[Body], _T],
        labels: str = "",
        fields: str = "",
    ) -> t.Sequence[_T]:
        """As :meth:`list`, but of each object only what `keep` makes of it, so that one page is held at a time."""
        try:
            return self._pages(kind, namespace, labels, fields, PAGE, keep)[0]
        except Gone:
            return self._pages(kind, namespace, labels, fields, 0, keep)[0]

    def list_metadata(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Listing:
        """As :meth:`list`, but of each object the metadata only: the data of Secrets stay on the server."""
        try:
            return Listing(*self._pages(kind, namespace, labels, fields, PAGE, _itself, _METADATA_LIST))
        except Gone:
            return Listing(*self._pages(kind, namespace, labels, fields, 0, _itself, _METADATA_LIST))

    def _pages(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str,
        fields: str,
        limit: int,
        keep: t.Callable[[Body], _T],
        accept: str = "application/json",
    ) -> _Pages[_T]:
        """What `keep` makes of all objects, and of which revision they are."""
        items: list[_T] = []
        token = ""
        while True:
            query = _query(labelSelector=labels, fieldSelector=fields, limit=limit or "", **{"continue": token})
            page = self._json(_Request("list", "GET", kind, namespace, query=query, accept=accept))
            for item in page.get("items") or []:
                # Items of a list carry no kind of their own.
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
                items.append(keep(item))
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                return items, metadata.get("resourceVersion", "")

    def groups(self) -> tuple[str, ...]:
        """Names of the API groups that the server has, those of custom resources among them."""
        document = self._json(_Request("list", "GET", API_GROUPS))
        return tuple(group["name"] for group in document.get("groups") or [])

    def watch(
        self, kind: Kind, namespace: str | None, resource_version: str, *, labels: str = "", fields: str = ""
    ) -> t.Any:
        """An open watch stream as an unread HTTP response: one JSON document per line.

        The server ends it after some minutes; a stream silent for longer than the read timeout raises in the reader.
        """
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=labels,
            fieldSelector=fields,
            timeoutSeconds="270",
        )
        return self._send(_Request("watch", "GET", kind, namespace, query=query), stream=True)

    def log(self, namespace: str, pod: str, container: str | None = None, *, limit_bytes: int = 1_000_000) -> str:
        """The log of a container, cut at `limit_bytes` by the server and again here."""
        query = _query(container=container or "", limitBytes=str(limit_bytes))
        response = self._send(_Request("get", "GET", POD, namespace, pod, "log", query), stream=True)
        try:
            data: bytes = response.read(limit_bytes)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(_Request("get", "GET", POD, namespace, pod, "log"), error) from error
        finally:
            response.close()
        return data.decode("utf-8", "replace")

    def log_tail(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool,
        seconds: int = 0,
        lines: int = 60,
        limit_bytes: int = 20_000,
    ) -> str:
        """The last lines of a container's log, or of its run before.

        Args:
            seconds: only what is younger, each line after its time; by the clock of the node, which wrote them.
        """
        query = _query(
            container=container,
            previous="true" if previous else "",
            tailLines=str(lines),
            limitBytes=str(limit_bytes),
            sinceSeconds=str(seconds) if seconds else "",
            timestamps="true" if seconds else "",
        )
        response = self._send(_Request("get", "GET", POD, namespace, pod, "log", query, timeout=LOG_TIMEOUT))
        data: bytes = response.data
        return data[:limit_bytes].decode("utf-8", "replace")

    def follow_log(
        self, namespace: str, pod: str, container: str | None = None, *, limit_bytes: int = 1_000_000
    ) -> t.Iterator[bytes]:
        """The log of a container piece by piece as it grows, until the container ends or `limit_bytes` have come."""
        query = _query(container=container or "", follow="true", limitBytes=str(limit_bytes))
        request = _Request("get", "GET", POD, namespace, pod, "log", query)
        response = self._send(request, stream=True)
        left = limit_bytes
        try:
            for piece in response.stream(65536):
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return
                if self.deadline.over:
                    raise self._over(request)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(request, error) from error
        finally:
            response.close()

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, *, secure: bool, limit_bytes: int = 20_000
    ) -> Reply:
        """GET `path` of a pod through the API server, once; any status is an answer.

        Args:
            secure: whether the API server speaks TLS with the pod; it does not verify the certificate.
            limit_bytes: how much of the body to read.

        Raises:
            ConnectionFailed: there was no answer in time.
        """
        name = f"{'https' if secure else 'http'}:{pod}:{port}"
        request = _Request("get", "GET", POD, namespace, name, "proxy", accept="*/*", timeout=POD_TIMEOUT, tail=path)
        deadline = Deadline.after(POD_TIMEOUT)
        try:
            response = self._once(request, stream=True)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(request, error) from error
        body = bytearray()
        try:
            # Byte by byte: larger pieces are waited for as long as somebody sends a byte now and then.
            for piece in response.stream(1):
                body += piece
                if len(body) >= limit_bytes or deadline.over:
                    break
                if self.deadline.over:
                    raise self._over(request)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(request, error) from error
        finally:
            response.close()
        return Reply(response.status, {key.lower(): value for key, value in response.headers.items()}, bytes(body))

    def may(
        self, verb: str, resource: str, namespace: str | None = None, *, group: str = "", subresource: str = ""
    ) -> bool:
        """Whether the API server would let these credentials do `verb` on `resource` (SelfSubjectAccessReview)."""
        attributes = {"verb": verb, "resource": resource, "group": group, "subresource": subresource}
        if namespace:
            attributes["namespace"] = namespace
        review = {
            "apiVersion": ACCESS_REVIEW.api_version,
            "kind": ACCESS_REVIEW.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = self.create(ACCESS_REVIEW, review)
        return bool((answer.get("status") or {}).get("allowed"))

    # ----- writing

    def create(self, kind: Kind, body: Body, *, dry_run: bool = False) -> Body:
        """Create `body`; AlreadyExists is a :class:`Conflict`."""
        namespace = (body.get("metadata") or {}).get("namespace")
        query = _query(dryRun="All" if dry_run else "", fieldManager=MANAGER)
        return self._json(_Request("create", "POST", kind, namespace, query=query, body=body))

    def apply(
        self, kind: Kind, body: Body, *, manager: str = MANAGER, force: bool = False, dry_run: bool = False
    ) -> Body:
        """Server-side apply of `body` (KEP-555); without `force` a field of another manager is a :class:`Conflict`."""
        metadata = body["metadata"]
        query = _query(
            fieldManager=manager,
            force="true" if force else "false",
            dryRun="All" if dry_run else "",
            fieldValidation="Strict",
        )
        return self._json(
            _Request(
                "apply",
                "PATCH",
                kind,
                metadata.get("namespace"),
                metadata["name"],
                None,
                query,
                body,
                content_type=_APPLY,
            )
        )

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: Body,
        *,
        manager: str = MANAGER,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Body:
        """Strategic merge patch of one object."""
        query = _query(fieldManager=manager, dryRun="All" if dry_run else "")
        return self._json(
            _Request("patch", "PATCH", kind, namespace, name, subresource, query, body, content_type=_MERGE)
        )

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete one object; False where it was not there. With `uid` only that very object is deleted."""
        options = _delete_options(propagation, uid)
        if dry_run:
            # In the body, since the API server ignores the query of a DELETE that has one: it would really delete.
            options["dryRun"] = ["All"]
        try:
            self._json(_Request("delete", "DELETE", kind, namespace, name, body=options))
        except NotFound:
            return False
        return True

    def delete_collection(
        self, kind: Kind, namespace: str, *, labels: str, propagation: str = "Background", grace: int | None = None
    ) -> None:
        """Delete all objects that match `labels` (never empty) in one request."""
        if not labels:
            raise ValueError("refusing to delete a whole collection without a label selector")
        options = _delete_options(propagation, None)
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        self._json(_Request("delete", "DELETE", kind, namespace, query=_query(labelSelector=labels), body=options))

    # ----- the wire

    def headers(self, content_type: str = "", accept: str = "application/json") -> t.Any:
        """Headers of a request: credentials (refreshed when the library says so) and impersonation."""
        headers = urllib3.HTTPHeaderDict({"Accept": accept, "User-Agent": "plumbline.kubernetes"})
        if content_type:
            headers["Content-Type"] = content_type
        for setting in self._link.configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        for key, value in self._link.headers:
            headers.add(key, value)
        return headers

    @property
    def configuration(self) -> t.Any:
        """The library's configuration, for the websocket of exec."""
        return self._link.configuration

    def _json(self, request: _Request) -> Body:
        response = self._send(request)
        try:
            document = json.loads(response.data or b"{}")
        except ValueError as error:
            raise ConnectionFailed(
                f"{self.label}: {request.describe()}: the answer is not JSON; is this a Kubernetes API server?"
            ) from error
        return document if isinstance(document, dict) else {}

    def _send(self, request: _Request, *, stream: bool = False) -> t.Any:
        """Send with retries; return the response of a 2xx, raise the error of anything else."""
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._once(request, stream)
            except urllib3.exceptions.HTTPError as error:
                if attempt >= ATTEMPTS or not (request.repeatable and _was_reset(error)):
                    raise self._unreachable(request, error) from error
                self._rest(_pause(attempt, None))
                continue
            self._note(request, response)
            if response.status < 300:
                return response
            if attempt >= ATTEMPTS or not _worth_repeating(request, response.status):
                raise self._refused(request, response)
            response.drain_conn()
            self._rest(_pause(attempt, response.headers.get("Retry-After")))

    def _rest(self, seconds: float) -> None:
        """Before the next attempt; where there is no time for one, that is found by the attempt."""
        time.sleep(min(seconds, self.deadline.left))

    def _once(self, request: _Request, stream: bool) -> t.Any:
        watches = request.verb == "watch"
        left = (NEVER if watches else self.deadline).left
        if not left:
            raise self._over(request)
        with self._lock:
            self._traffic.requests += 1
        data = None if request.body is None else json.dumps(request.body)
        return self._pool.request(
            request.method,
            self._link.configuration.host.rstrip("/") + request.url,
            body=data,
            headers=self.headers(request.content_type if data is not None else "", request.accept),
            timeout=urllib3.Timeout(
                connect=min(CONNECT_TIMEOUT, left), read=min(75.0 if watches else request.timeout, left)
            ),
            retries=False,
            redirect=False,
            preload_content=not stream,
        )

    def _note(self, request: _Request, response: t.Any) -> None:
        self._traffic.skew = _skew(response.headers.get("Date"), time.time())
        if request.kind is SECRET:
            return  # an admission webhook's text may quote what it saw
        for header in response.headers.getlist("Warning"):
            # RFC 7234, 5.5: warn-code, warn-agent, quoted warn-text.
            text = one_line(header.split(" ", 2)[-1].strip('"').replace('\\"', '"'))
            with self._lock:
                if text not in self._traffic.notices:
                    self._traffic.notices.append(text)

    def _over(self, request: _Request) -> KubeError:
        return TimeOver(f"{self.label}: {request.describe()}: no answer before the time for all of it was over")

    def _unreachable(self, request: _Request, error: BaseException) -> KubeError:
        if self.deadline.over:
            return self._over(request)
        return ConnectionFailed(f"{self.label}: {request.describe()}: {_network_cause(error, request.timeout)}")

    def _refused(self, request: _Request, response: t.Any) -> ApiError:
        status: int = response.status
        try:
            document = json.loads(response.data)
            document = document if isinstance(document, dict) else {}
        except (ValueError, urllib3.exceptions.HTTPError):
            document = {}
        reason = one_line(str(document.get("reason") or response.reason or "Unknown"), 100)
        # Texts about Secrets echo their values (tried): the status alone is passed on.
        text = "" if request.kind is SECRET else str(document.get("message") or "")
        hint = _HINTS.get(status, "")
        if status == 403 and " cannot " in str(document.get("message")):  # RBAC, not an admission plugin
            hint = f"needs the right to {request.right}; {hint}"
        parts = [f"HTTP {status} {reason}", text, hint]
        message = f"{self.label}: {request.describe()}: " + "; ".join(part for part in parts if part)
        kwargs: dict[str, t.Any] = {"status": status, "reason": reason}
        if status == 409:
            kwargs["conflicts"] = _conflicts(document)
        return _CLASSES.get(status, ApiError)(message, **kwargs)


def _itself(body: Body) -> Body:
    return body


def _skew(date: str | None, now: float) -> float | None:
    """Seconds from `now` to the moment that a `Date` header (RFC 9110, 6.6.1) names."""
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None


def _query(**values: str | int) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in values.items() if value != "")


def _delete_options(propagation: str, uid: str | None) -> Body:
    options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
    if uid:
        options["preconditions"] = {"uid": uid}
    return options


def _worth_repeating(request: _Request, status: int) -> bool:
    return status == 429 or (status in (500, 502, 503, 504) and request.repeatable)


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next attempt: what the server asks for, else doubling with jitter; always bounded."""
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    return min(0.2 * 2.0 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def _was_reset(error: BaseException) -> bool:
    return isinstance(error, urllib3.exceptions.ProtocolError)


def _network_cause(error: BaseException, timeout: float) -> str:
    """Say what kind of failure it was, without the library's nested text."""
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    # NewConnectionError and NameResolutionError derive from ConnectTimeoutError: they come first.
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the server's name does not resolve; check the address"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        # urllib3 raises the same for a TLS handshake, which the time for connecting bounds, and says how long it was.
        waited = re.search(r"read timeout=([\d.]+)", str(error))
        if waited and float(waited[1]) == CONNECT_TIMEOUT != timeout:
            return f"no TLS handshake within {CONNECT_TIMEOUT:g} s; is it an API server that listens there?"
        return f"no answer within {timeout:g} s"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return (
            "connection refused; is the API server running there?"
            if "refused" in str(error)
            else one_line(str(error).rsplit(": ", 1)[-1])
        )
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return f"no connection within {CONNECT_TIMEOUT:g} s; is the address right and the way free?"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"TLS failed: {one_line(str(error), 200)}; check ca_cert and validate_certs"
    return f"the connection broke ({type(error).__name__}: {one_line(str(error), 200)})"


def _conflicts(document: Body) -> tuple[tuple[str, str], ...]:
    """`(field, manager)` of each FieldManagerConflict cause of a Status object."""
    found = []
    for cause in (document.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "FieldManagerConflict":
            # apimachinery: fieldmanager/internal/conflict? text is: conflict with "NAME"[ with subresource "S"] using V
            manager = str(cause.get("message", "")).partition('"')[2].partition('"')[0]
            found.append((str(cause.get("field", "")), manager))
    return tuple(found)
