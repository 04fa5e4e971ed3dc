# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""A certificate authority as a row of generations, and how one replaces another: pure, with `now` passed in.

A generation is a self-signed root, and the intermediate below it where one is wanted; its number is part of its
subject (RFC 5280, 4.2.1.1: two CAs of one name are told apart by key identifiers, which not every client reads).
Its states:

- `prepared`: trusted, has issued nothing yet
- `issuing`: trusted, and the one that signs
- `outgoing`: trusted for what it has signed
- `retired`: no longer trusted, its key is gone
- `compromised`: not trusted from one moment to the next, its key is gone

A rotation goes `prepare`, `switch`, `finish`, with `rollback` until `finish`. Each step says what holds afterwards, so
one that was done is not done again, and a play that was killed starts again from its first step.
"""

from __future__ import annotations

import ipaddress
import json
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID
except ImportError:  # module.run() reports the missing library
    pass

from .certificates import Chain, extension, issued_by, parse_chain, pem_of, stamp
from .errors import PkiError
from .issue import BACKDATED, LONGEST_COMMON_NAME, Issuer, signing_hash, validity
from .keys import PrivateKey, generate, type_of

State = t.Literal["prepared", "issuing", "outgoing", "retired", "compromised"]
STATES: tuple[State, ...] = ("prepared", "issuing", "outgoing", "retired", "compromised")
TRUSTED: tuple[State, ...] = ("prepared", "issuing", "outgoing")
VERSION = 1
EVERY_ADDRESS = ("0.0.0.0/0", "::/0")
INTERMEDIATE = "intermediate"


@dataclass(frozen=True, slots=True)
class Generation:
    """One key that signs, and its certificates.

    Attributes:
        chain: the certificate that signs first, the root last; empty as long as it is only planned.
    """

    number: int
    state: State
    chain: Chain = ()

    @property
    def trusted(self) -> bool:
        """Whether clients shall trust it. As long as that is so its key is kept."""
        return self.state in TRUSTED

    def check_time(self, now: datetime) -> None:
        """Refuse a generation whose certificates are not valid now."""
        for certificate in self.chain:
            name = f"generation {self.number} ({certificate.subject.rfc4514_string()})"
            if now < certificate.not_valid_before_utc:
                raise PkiError(f"authority: {name} is valid from {stamp(certificate.not_valid_before_utc)} only")
            if now > certificate.not_valid_after_utc:
                raise PkiError(f"authority: {name} expired at {stamp(certificate.not_valid_after_utc)}")

    def is_valid(self, now: datetime) -> bool:
        """Whether all its certificates are valid now."""
        return all(item.not_valid_before_utc <= now <= item.not_valid_after_utc for item in self.chain)


@dataclass(frozen=True, slots=True)
class Authority:
    """All generations, oldest first, and where what clients have to trust is published.

    Attributes:
        namespaces: as a ConfigMap.
        cluster_wide: whether as a ClusterTrustBundle too.
    """

    generations: tuple[Generation, ...] = ()
    namespaces: tuple[str, ...] = ()
    cluster_wide: bool = False

    @property
    def issuing(self) -> Generation | None:
        """The one that signs."""
        return next((item for item in self.generations if item.state == "issuing"), None)

    @property
    def trusted(self) -> tuple[Generation, ...]:
        """Those that clients shall trust."""
        return tuple(item for item in self.generations if item.trusted)

    @property
    def planned(self) -> Generation | None:
        """The one that has to be made."""
        return next((item for item in self.generations if not item.chain), None)

    @property
    def roots(self) -> Chain:
        """What clients have to trust."""
        return tuple(item.chain[-1] for item in self.trusted if item.chain)

    def get(self, number: int) -> Generation | None:
        """The generation of this number."""
        return next((item for item in self.generations if item.number == number), None)

    def added(self, state: State) -> Authority:
        """With one more generation, to be made."""
        number = max((item.number for item in self.generations), default=0) + 1
        return replace(self, generations=(*self.generations, Generation(number, state)))

    def put(self, states: t.Mapping[int, State]) -> Authority:
        """With other states for generations by number."""
        changed = (replace(item, state=states.get(item.number, item.state)) for item in self.generations)
        return replace(self, generations=tuple(changed))

    def made(self, chain: Chain) -> Authority:
        """With the certificates of the one that had to be made."""
        complete = (item if item.chain else replace(item, chain=chain) for item in self.generations)
        return replace(self, generations=tuple(complete))

    def summary(self) -> str:
        """Numbers and states, for messages."""
        return ", ".join(f"{item.number} {item.state}" for item in self.generations) or "none"


# ----- stored form


def dumps(authority: Authority) -> str:
    """As JSON: nothing in it is secret."""
    generations = [
        {"generation": item.number, "state": item.state, "certificates": pem_of(item.chain)}
        for item in authority.generations
    ]
    published = {"bundle_namespaces": list(authority.namespaces), "trust_bundle": authority.cluster_wide}
    return json.dumps({"version": VERSION, "generations": generations, **published}, indent=1) + "\n"


def loads(text: bytes, *, what: str) -> Authority:
    """Out of JSON; `what` names it in errors.

    Raises:
        PkiError: it is none of ours, or damaged.
    """
    try:
        document = json.loads(text)
        entries = [(item["generation"], item["state"], item["certificates"]) for item in document["generations"]]
        version = document["version"]
        namespaces = tuple(str(name) for name in document.get("bundle_namespaces", []))
        cluster_wide = document.get("trust_bundle") is True
    except (ValueError, KeyError, TypeError):
        raise PkiError(f"{what}: damaged, expected the generations of a CA as JSON") from None
    if version != VERSION:
        raise PkiError(f"{what}: of version {version!r}, expected {VERSION}; a newer collection wrote it")
    generations = tuple(_generation(*entry, what=what) for entry in entries)
    numbers = [item.number for item in generations]
    if numbers != sorted(set(numbers)) or [item.state for item in generations].count("issuing") > 1:
        raise PkiError(f"{what}: damaged, expected increasing numbers and at most one issuing generation")
    return Authority(generations, namespaces, cluster_wide)


def _generation(number: t.Any, state: t.Any, certificates: t.Any, *, what: str) -> Generation:
    counted = isinstance(number, int) and not isinstance(number, bool) and number > 0
    if not counted or state not in STATES or not isinstance(certificates, str):
        raise PkiError(f"{what}: damaged, expected a number, a state and certificates of each generation")
    chain = parse_chain(certificates.encode(), what=f"{what}, generation {number}")
    if not all(issued_by(*pair) for pair in zip(chain, (*chain[1:], chain[-1]), strict=True)):
        raise PkiError(f"{what}: damaged, generation {number} is no chain up to a root")
    return Generation(number, state, chain)


# ----- what becomes of it


def plan(
    authority: Authority, now: datetime, *, rotation: str | None = None, compromised: int | None = None
) -> Authority:
    """What shall be: after a mark, after a step of a rotation, and always with one generation that issues."""
    if compromised is not None:
        if authority.get(compromised) is None:
            raise PkiError(f"compromised: there is no generation {compromised}, only {authority.summary()}")
        authority = authority.put({compromised: "compromised"})
    if rotation:
        if not authority.generations:
            raise PkiError(f"rotation: {rotation} given, but there is no CA yet; make it first, without rotation")
        authority = _STEPS[rotation](authority, now)
    return _with_issuing(authority, now)


def _with_issuing(authority: Authority, now: datetime) -> Authority:
    """The first generation, or one in place of a compromised one: the newest that clients trust already, or a new one.

    An expired one that issues stays, for only a rotation lets clients trust another before it is used.
    """
    if authority.issuing:
        return authority
    heirs = [item for item in authority.trusted if item.is_valid(now)]
    return authority.put({heirs[-1].number: "issuing"}) if heirs else authority.added("issuing")


def _prepare(authority: Authority, _now: datetime) -> Authority:
    return authority if len(authority.trusted) > 1 else authority.added("prepared")


def _switch(authority: Authority, now: datetime) -> Authority:
    if len(authority.trusted) < 2:
        raise PkiError(
            f"rotation: switch given, but no other generation is prepared ({authority.summary()}); prepare first"
        )
    return _issue_by(authority, authority.trusted[-1], now)


def _finish(authority: Authority, _now: datetime) -> Authority:
    states = [item.state for item in authority.generations]
    if "prepared" in states:
        raise PkiError(
            f"rotation: finish given, but the new generation does not issue ({authority.summary()}); switch first"
        )
    if len(states) == 1:
        raise PkiError(f"rotation: finish given, but nothing was prepared ({authority.summary()}); prepare first")
    return authority.put({item.number: "retired" for item in authority.trusted if item.state == "outgoing"})


def _rollback(authority: Authority, now: datetime) -> Authority:
    prepared = [item for item in authority.trusted if item.state == "prepared"]
    if prepared:
        return authority.put({item.number: "retired" for item in prepared})
    issuing = authority.issuing
    if len(authority.trusted) > 1:
        return _issue_by(authority, authority.trusted[0], now)
    if issuing and issuing.number == authority.generations[-1].number:
        raise PkiError(
            f"rotation: rollback given, but no rotation is under way ({authority.summary()}); what finish dropped does "
            "not come back"
        )
    return authority


def _issue_by(authority: Authority, generation: Generation, now: datetime) -> Authority:
    generation.check_time(now)
    states: dict[int, State] = {item.number: "outgoing" for item in authority.trusted if item.state == "issuing"}
    return authority.put({**states, generation.number: "issuing"})


_STEPS: dict[str, t.Callable[[Authority, datetime], Authority]] = {
    "prepare": _prepare,
    "switch": _switch,
    "finish": _finish,
    "rollback": _rollback,
}
ROTATIONS = tuple(_STEPS)


# ----- making one


@dataclass(frozen=True, slots=True)
class Profile:
    """What a new generation shall be.

    Attributes:
        subject: its common name; the number of the generation is added.
        intermediate: whether an intermediate signs. The root signs that one, and its key is forgotten.
        path_length: how many CAs there may be below the root; None: as many as it has.
        permitted_names: DNS names that it may sign for, with everything below each; empty: all.
        permitted_addresses: networks that it may sign for, where `permitted_names` is given; empty: none.
    """

    subject: str
    key_type: str
    lifetime: timedelta
    intermediate: bool = False
    path_length: int | None = None
    permitted_names: tuple[str, ...] = ()
    permitted_addresses: tuple[str, ...] = ()

    def common_name(self, number: int) -> str:
        """Of the root of a generation."""
        name = f"{self.subject} {number}"
        longest = LONGEST_COMMON_NAME - len(f" {INTERMEDIATE}")
        if len(name) > longest:
            raise PkiError(f"subject: {len(name)} characters with the number of the generation, expected <= {longest}")
        return name


def profile_of(generation: Generation) -> Profile:
    """What a generation is, read from its certificates, so that the next one can be the same."""
    root, below = generation.chain[-1], len(generation.chain) - 1
    length = extension(root, x509.BasicConstraints).path_length
    constraints = extension(root, x509.NameConstraints)
    permitted = list(constraints.permitted_subtrees or ()) if constraints else []
    (name,) = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Profile(
        str(name.value).removesuffix(f" {generation.number}"),
        type_of(generation.chain[0].public_key()),
        root.not_valid_after_utc - root.not_valid_before_utc - BACKDATED,
        intermediate=below > 0,
        # As many as it has is no choice: another one may have more.
        path_length=None if length == below else length,
        permitted_names=tuple(str(tree.value) for tree in permitted if isinstance(tree, x509.DNSName)),
        permitted_addresses=tuple(str(tree.value) for tree in permitted if isinstance(tree, x509.IPAddress)),
    )


def next_profile(authority: Authority, first: Profile, given: t.Mapping[str, t.Any]) -> Profile:
    """What the next generation shall be: as the one that issues, or else as the newest, but for what is `given`.

    What clients were promised, above all name constraints, does not go away because nobody repeats it.
    """
    known = [item for item in authority.generations if item.chain]
    issuing = authority.issuing
    last = issuing if issuing and issuing.chain else known[-1] if known else None
    profile = replace(profile_of(last) if last else first, **given)
    if not profile.permitted_names and "permitted_addresses" not in given:
        profile = replace(profile, permitted_addresses=())
    return profile


def make(profile: Profile, number: int, now: datetime) -> tuple[Chain, PrivateKey]:
    """A new generation: its certificates, the one that signs first, and the key of that one."""
    name = profile.common_name(number)
    below = int(profile.intermediate)
    length = below if profile.path_length is None else profile.path_length
    if length < below:
        raise PkiError(f"path_length: {length} given, expected at least {below} with intermediate")
    key = generate(profile.key_type)
    root = _certificate(name, key, None, length, profile, now)
    if not profile.intermediate:
        return (root,), key
    lower = generate(profile.key_type)
    issuer = Issuer(root, key)
    return (_certificate(f"{name} {INTERMEDIATE}", lower, issuer, 0, profile, now), root), lower


def _certificate(
    name: str, key: PrivateKey, issuer: Issuer | None, length: int, profile: Profile, now: datetime
) -> x509.Certificate:
    """The profile of a CA in RFC 5280 (4.2.1), as strict verifiers read it."""
    start, end = validity(profile.lifetime, issuer, now)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    constraints = _name_constraints(profile)
    if constraints:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(signer, signing_hash(signer))


def _name_constraints(profile: Profile) -> x509.NameConstraints | None:
    """RFC 5280, 4.2.1.10: a kind of name that is not mentioned is not limited, so addresses always are mentioned."""
    if not profile.permitted_names:
        return None
    networks = [x509.IPAddress(ipaddress.ip_network(text)) for text in profile.permitted_addresses]
    none = [x509.IPAddress(ipaddress.ip_network(text)) for text in EVERY_ADDRESS]
    names = [x509.DNSName(name) for name in profile.permitted_names]
    return x509.NameConstraints([*names, *networks], None if networks else none)


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
