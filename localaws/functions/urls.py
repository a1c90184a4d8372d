"""Function URLs: a function, or one of its aliases, behind an HTTP address of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.clock import Timer
from localaws.functions.names import (
    FunctionRef,
    conflict,
    invalid,
    not_found,
    parse_ref,
    ref_of_arn,
)
from localaws.functions.paging import page
from localaws.functions.records import FunctionDoc, FunctionRecords, version_of
from localaws.wire.protocol import Caller

PREFIX = "function-url/"
_SETTINGS = ("AuthType", "Cors", "InvokeMode")


class UrlOperations:
    """The function URL operations. Addresses are below `base`, that of this server's pages."""

    def __init__(self, records: FunctionRecords, clock: Timer, base: str) -> None:
        self._records = records
        self._clock = clock
        self._base = base

    def create_function_url_config(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """Give $LATEST or an alias its address."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        _refuse_streams(params)
        with self._records.change(ref) as doc:
            version_of(doc, ref.qualifier, ref)
            urls = doc.setdefault("urls", {})
            if (ref.qualifier or "") in urls:
                raise conflict(
                    f"Failed to create function url config for [functionArn = {ref.arn}]. Error "
                    "message:  FunctionUrlConfig exists for this Lambda function"
                )
            now = self._stamp()
            settings = {name: params[name] for name in _SETTINGS if name in params}
            url = {
                "FunctionArn": ref.arn,
                "InvokeMode": "BUFFERED",
                **settings,
                "CreationTime": now,
                "LastModifiedTime": now,
            }
            urls[ref.qualifier or ""] = url
        answer = self._shown(url)
        del answer["LastModifiedTime"]
        return answer

    def update_function_url_config(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """Change who may call it, its CORS or its mode."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        _refuse_streams(params)
        with self._records.change(ref) as doc:
            url = _url(doc, ref)
            url.update({name: params[name] for name in _SETTINGS if name in params})
            url["LastModifiedTime"] = self._stamp()
        return self._shown(url)

    def get_function_url_config(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The address and its settings."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        return self._shown(_url(self._records.get(ref), ref))

    def delete_function_url_config(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Take the address away."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        with self._records.change(ref) as doc:
            _url(doc, ref)
            del doc["urls"][ref.qualifier or ""]

    def list_function_url_configs(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """The addresses of a function and of its aliases."""
        doc = self._records.get(parse_ref(params["FunctionName"], None, caller))
        found = [self._shown(url) for _, url in sorted(doc.get("urls", {}).items())]
        urls, marker = page(found, params, key=lambda url: url["FunctionArn"])
        return {"FunctionUrlConfigs": urls, "NextMarker": marker}

    def _shown(self, url: Mapping[str, Any]) -> dict[str, Any]:
        """With its address, which follows the server's port."""
        name = url_id(ref_of_arn(url["FunctionArn"]))
        return {"FunctionUrl": f"{self._base}{PREFIX}{name}/", **url}

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")


def url_id(ref: FunctionRef) -> str:
    """The part of the address that names the function: 32 characters, the same at every start."""
    return hashlib.sha256(ref.arn.encode()).hexdigest()[:32]


def _refuse_streams(params: Mapping[str, Any]) -> None:
    if params.get("InvokeMode") == "RESPONSE_STREAM":
        raise invalid("localaws answers function URLs in one piece: use InvokeMode BUFFERED")


def _url(doc: FunctionDoc, ref: FunctionRef) -> dict[str, Any]:
    url = doc.get("urls", {}).get(ref.qualifier or "")
    if url is None:
        raise not_found("The resource you requested does not exist.")
    return url
