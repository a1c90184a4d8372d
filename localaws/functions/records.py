"""What is known of each function: one durable document for each, changed as a whole."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

from localaws.functions.config import Config
from localaws.functions.names import LATEST, FunctionRef, is_version, not_found
from localaws.store import Store


class FunctionDoc(TypedDict):
    """One function. `published` tells the newest version and the identity of $LATEST when it was
    made; `urls` is by alias, with an empty name for $LATEST.
    """

    latest: Config
    versions: dict[str, Config]
    aliases: dict[str, dict[str, Any]]
    next_version: int
    published: dict[str, str]
    reserved: int | None
    provisioned: dict[str, dict[str, Any]]
    policies: dict[str, dict[str, Any]]
    urls: NotRequired[dict[str, dict[str, Any]]]
    tags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The version that a call to `invoked_arn` runs."""

    function_arn: str
    invoked_arn: str
    config: Config

    @property
    def version(self) -> str:
        """`$LATEST` or a number."""
        version: str = self.config["Version"]
        return version


def new_doc(config: Config, tags: Mapping[str, str]) -> FunctionDoc:
    """A function that has nothing but $LATEST."""
    return {
        "latest": config,
        "versions": {},
        "aliases": {},
        "next_version": 1,
        "published": {},
        "reserved": None,
        "provisioned": {},
        "policies": {},
        "tags": dict(tags),
    }


class FunctionRecords:
    """All functions, in memory and in the store; a change is in both or in neither.

    What `get` and `all` answer is shared and must not be changed: use `change`.
    """

    def __init__(self, store: Store) -> None:
        self._table = store.table("lambda_functions")
        self._lock = threading.RLock()
        # The store holds what `change` wrote.
        self._docs = cast(dict[str, FunctionDoc], dict(self._table.items()))

    def find(self, function_arn: str) -> FunctionDoc | None:
        """The function, or None."""
        return self._docs.get(function_arn)

    def get(self, ref: FunctionRef) -> FunctionDoc:
        """The function; ResourceNotFoundException when there is none."""
        doc = self._docs.get(ref.function_arn)
        if doc is None:
            raise not_found(f"Function not found: {ref.arn}")
        return doc

    def all(self, account_id: str, region: str) -> list[FunctionDoc]:
        """The functions of one account in one region, by name."""
        start = FunctionRef(account_id=account_id, region=region, name="").function_arn
        with self._lock:
            return [doc for arn, doc in sorted(self._docs.items()) if arn.startswith(start)]

    def everything(self) -> list[FunctionDoc]:
        """All functions of all accounts."""
        with self._lock:
            return list(self._docs.values())

    def insert(self, function_arn: str, doc: FunctionDoc) -> bool:
        """Record a new function; False when the name is taken."""
        with self._lock:
            if not self._table.insert(function_arn, dict(doc)):
                return False
            self._docs[function_arn] = doc
            return True

    @contextmanager
    def change(self, ref: FunctionRef) -> Iterator[FunctionDoc]:
        """A private copy to be changed; it takes effect when the block ends without an error."""
        with self._lock:
            doc = copy.deepcopy(self.get(ref))
            yield doc
            self._table.put(ref.function_arn, dict(doc))
            self._docs[ref.function_arn] = doc

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep all functions as they are while a rule over several of them is looked at."""
        with self._lock:
            yield

    def delete(self, ref: FunctionRef) -> FunctionDoc:
        """Remove the function and answer what it was."""
        with self._lock:
            doc = self.get(ref)
            self._table.delete(ref.function_arn)
            del self._docs[ref.function_arn]
            return doc

    def uses_code(self, sha256: str) -> bool:
        """Whether any version of any function runs this package."""
        with self._lock:
            return any(sha256 == c["CodeSha256"] for d in self._docs.values() for c in configs(d))


def configs(doc: FunctionDoc) -> list[Config]:
    """$LATEST and all versions, in the order of their publication."""
    return [doc["latest"], *sorted(doc["versions"].values(), key=lambda c: int(c["Version"]))]


def version_of(doc: FunctionDoc, qualifier: str | None, ref: FunctionRef) -> Config:
    """The configuration that a qualifier names; of a weighted alias, its main version."""
    if qualifier is None or qualifier == LATEST:
        return doc["latest"]
    if not is_version(qualifier):
        alias = doc["aliases"].get(qualifier)
        if alias is None:
            raise no_such_alias(ref, qualifier)
        qualifier = alias["FunctionVersion"]
        return version_of(doc, qualifier, ref)
    if qualifier not in doc["versions"]:
        raise not_found(f"Function not found: {ref.function_arn}:{qualifier}")
    return doc["versions"][qualifier]


def no_such_alias(ref: FunctionRef, name: str) -> Exception:
    """Lambda's 404 for an alias."""
    return not_found(f"Cannot find alias arn: {ref.function_arn}:{name}")


def choose_target(doc: FunctionDoc, ref: FunctionRef, roll: float) -> Target:
    """What a call runs; `roll` in [0, 1) decides between the versions of a weighted alias."""
    config = version_of(doc, ref.qualifier, ref)
    alias = doc["aliases"].get(ref.qualifier or "")
    if alias is not None:
        for version, weight in weights_of(alias).items():
            if roll < weight:
                config = version_of(doc, version, ref)
    return Target(function_arn=ref.function_arn, invoked_arn=ref.arn, config=config)


def weights_of(alias: Mapping[str, Any]) -> dict[str, float]:
    """The additional version of a weighted alias and its share; empty for a plain alias."""
    weights: dict[str, float] = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return weights


def roll() -> float:
    """A random number in [0, 1) for `choose_target`."""
    return random.random()  # noqa: S311  (routing, no secret)
