"""MessagePack, as far as values on the wire need it: nothing to install, and the same bytes as the `msgpack` package writes."""

from __future__ import annotations

import struct
from typing import Any


def pack(value: Any) -> bytes:
    """The value's MessagePack, every number in its shortest form.

    Raises TypeError for a value that MessagePack has no form for, OverflowError for an integer of more than 64 bits.
    """
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def _length(out: bytearray, length: int, fixed: tuple[int, int] | None, *heads: tuple[int, str]) -> None:
    if fixed is not None and length < fixed[1]:
        out.append(fixed[0] | length)
        return
    for head, form in heads:
        if length < 1 << (8 * struct.calcsize(form)):
            out.append(head)
            out += struct.pack(form, length)
            return
    raise ValueError(f"a value of {length} elements is too long for MessagePack")


def _pack_int(value: int, out: bytearray) -> None:
    if 0 <= value < 0x80:
        out.append(value)
    elif -0x20 <= value < 0:
        out += struct.pack(">b", value)
    elif value >= 0:
        _length(out, value, None, (0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
    elif value >= -0x80:
        out += struct.pack(">Bb", 0xD0, value)
    elif value >= -0x8000:
        out += struct.pack(">Bh", 0xD1, value)
    elif value >= -0x80000000:
        out += struct.pack(">Bi", 0xD2, value)
    elif value >= -0x8000000000000000:
        out += struct.pack(">Bq", 0xD3, value)
    else:
        raise OverflowError("an integer of more than 64 bits has no MessagePack form")


def _pack(value: Any, out: bytearray) -> None:
    if value is None:
        out.append(0xC0)
    elif value is False:
        out.append(0xC2)
    elif value is True:
        out.append(0xC3)
    elif isinstance(value, int):
        if value >= 1 << 64:
            raise OverflowError("an integer of more than 64 bits has no MessagePack form")
        _pack_int(value, out)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        data = value.encode()
        _length(out, len(data), (0xA0, 32), (0xD9, ">B"), (0xDA, ">H"), (0xDB, ">I"))
        out += data
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        _length(out, len(data), None, (0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I"))
        out += data
    elif isinstance(value, (list, tuple)):
        _length(out, len(value), (0x90, 16), (0xDC, ">H"), (0xDD, ">I"))
        for element in value:
            _pack(element, out)
    elif isinstance(value, dict):
        _length(out, len(value), (0x80, 16), (0xDE, ">H"), (0xDF, ">I"))
        for key, element in value.items():
            _pack(key, out)
            _pack(element, out)
    else:
        raise TypeError(f"a value of type {type(value).__name__} has no MessagePack form")


def unpack(data: bytes) -> Any:
    """The value in `data`.

    Raises ValueError if `data` is not exactly one MessagePack value, or has an extension type.
    """
    reader = _Reader(data)
    try:
        value = reader.value()
    except (struct.error, IndexError) as error:
        raise ValueError("the MessagePack ends too early") from error
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes are left over after the MessagePack")
    return value


class _Reader:
    """The position of the reader."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        if self.at + length > len(self.data):
            raise IndexError
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def array(self, length: int) -> list[Any]:
        return [self.value() for _ in range(length)]

    def map(self, length: int) -> dict[Any, Any]:
        found = {}
        for _ in range(length):
            key = self.value()
            if isinstance(key, list):
                key = tuple(key)
            found[key] = self.value()
        return found

    def value(self) -> Any:
        head = self.take(1)[0]
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head < 0x90:
            return self.map(head & 0x0F)
        if head < 0xA0:
            return self.array(head & 0x0F)
        if head < 0xC0:
            return self.take(head & 0x1F).decode()
        if head in _CONSTANTS:
            return _CONSTANTS[head]
        if head in _NUMBERS:
            return self.number(_NUMBERS[head])
        if head in _BYTES:
            return self.take(self.number(_BYTES[head]))
        if head in _TEXTS:
            return self.take(self.number(_TEXTS[head])).decode()
        if head in (0xDC, 0xDD):
            return self.array(self.number(">H" if head == 0xDC else ">I"))
        if head in (0xDE, 0xDF):
            return self.map(self.number(">H" if head == 0xDE else ">I"))
        raise ValueError(f"MessagePack of the kind {head:#04x} is not read here")


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
