"""Finds weights that an ONNX file would read from elsewhere: a bundle's model holds all of its own.

A runtime that follows such a reference opens whatever file it names. The file is walked as protocol buffers,
by the field numbers of onnx.proto (IR version 11); what is not known there is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["external_tensors"]

# Message -> field -> what it holds. Only what leads to a tensor.
_LEADS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_NAME, _EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 8, 13, 14, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Graphs within graphs; those that are exported hold none.
_DEEPEST = 64


def external_tensors(model: bytes) -> list[str]:
    """Names of the tensors of a model whose values lie outside of it.

    Raises:
        ValueError: these are no protocol buffers.
    """
    return list(_found(memoryview(model), "model", 0))


def _found(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("graphs within graphs without end")
    if kind == "tensor":
        yield from _named_if_external(message)
        return
    leads = _LEADS[kind]
    for field, value in _fields(message):
        if field in leads and isinstance(value, memoryview):
            yield from _found(value, leads[field], depth + 1)


def _named_if_external(tensor: memoryview) -> Iterator[str]:
    name, external = "", False
    for field, value in _fields(tensor):
        if field == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
        external |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value == _EXTERNAL)
    if external:
        yield name


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers and values of a message; bytes as a view of them."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield field, value
            continue
        if wire == _BYTES:
            length, place = _varint(message, place)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {place}")
        if place + length > len(message):
            raise ValueError(f"{length} bytes at {place} of {len(message)}")
        yield field, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("a number is cut off")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")
