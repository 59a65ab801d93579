"""Trusted documents: the texts that our own frontends were built with, sent as ids ever after.

A manifest is what Relay (`persistConfig.file`) and graphql-codegen (`persistedDocuments`) write, `{id: text}`, or
Apollo's `generate-persisted-query-manifest`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from api.errors import RequestError, RequestErrorCode


class ManifestError(Exception):
    """A manifest can't be used; the message names the file, the document and the fault."""


class DocumentId(NamedTuple):
    """What a request says in place of a document's text."""

    id: str

    @property
    def bare(self) -> str:
        """The id as manifests have it: `sha256:` is the prefix of the draft specification."""
        return self.id.removeprefix(SHA256)


class TrustedText(NamedTuple):
    """A document of a manifest."""

    file: str
    id: str
    text: str

    def faulty(self, fault: str) -> ManifestError:
        return ManifestError(f"{self.file}: the document {self.id} can't be used: {fault}")


SHA256 = "sha256:"


class _ApolloOperation(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct):
    format: str
    version: int
    operations: list[_ApolloOperation]


def read_manifests(files: Iterable[Path]) -> list[TrustedText]:
    """The documents of the manifests, each id once. Raises ManifestError."""
    found: dict[str, TrustedText] = {}
    for file in files:
        for one in _read(file):
            former = found.setdefault(one.id, one)
            if former.text != one.text:
                raise one.faulty(f"{former.file} has another document with this id.")
    return list(found.values())


def _read(file: Path) -> Iterator[TrustedText]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ManifestError(f"{file} can't be read: {error.strerror}.") from None
    try:
        given = msgspec.json.decode(content)
        if isinstance(given, dict) and "operations" in given and "format" in given:
            manifest = msgspec.convert(given, _ApolloManifest)
            if (manifest.format, manifest.version) != ("apollo-persisted-query-manifest", 1):
                raise ManifestError(f"{file} is a manifest of another format or version than Apollo's first.")
            documents = [(one.id, one.body) for one in manifest.operations]
        else:
            documents = list(msgspec.convert(given, dict[str, str]).items())
    except msgspec.DecodeError as error:
        raise ManifestError(
            f"{file} is no manifest of documents, which is {{id: text}} or Apollo's format: {error}."
        ) from None
    for id, text in documents:
        one = TrustedText(str(file), id.removeprefix(SHA256), text)
        if id.startswith(SHA256) and hashlib.sha256(text.encode()).hexdigest() != one.id:
            raise one.faulty("its id says SHA-256, but is not that of its text.")
        yield one


def asked_document(given: Mapping[str, Any]) -> str | DocumentId:
    """What a request wants to be run: the text in `query`, or the trusted document that `documentId` names, or that
    `extensions.persistedQuery.sha256Hash` names, as Apollo's clients have it. Raises RequestError.
    """
    text, id = given.get("query"), given.get("documentId")
    if id is not None:
        if not isinstance(id, str) or text is not None:
            raise RequestError(
                RequestErrorCode.BAD_REQUEST, "`documentId` must be a string, and stand without `query`."
            )
        return DocumentId(id)
    if text is None:
        try:
            return DocumentId(msgspec.convert(given.get("extensions"), _Extensions).persisted_query.sha256_hash)
        except msgspec.ValidationError:
            pass
    if not isinstance(text, str):
        message = "`query` is missing; it is the text of a GraphQL document. `documentId` names a trusted one instead."
        raise RequestError(RequestErrorCode.BAD_REQUEST, message)
    return text


class _PersistedQuery(msgspec.Struct):
    sha256_hash: str = msgspec.field(name="sha256Hash")


class _Extensions(msgspec.Struct):
    persisted_query: _PersistedQuery = msgspec.field(name="persistedQuery")
