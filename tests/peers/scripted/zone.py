"""The records that the name server of the tests knows, and their wire format.

A zone file has one record a line, the name always whole and without a final dot:

    postfix.test         MX     10 mx.postfix.test
    mx.postfix.test      A      127.0.0.2
    broken.test          SERVFAIL
    silent.test          SILENT
    *.many.test          A      127.0.0.9

`SERVFAIL` and `SILENT` (no answer at all) hold for all types of the name; a name
without any record does not exist. Text of a TXT record goes to the end of the
line, without quotes."""

import ipaddress
import struct
from dataclasses import dataclass, field

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
         "SRV": 33, "TLSA": 52, "OPT": 41, "ANY": 255}
FAULTS = ("SERVFAIL", "SILENT")
# More would be a loop, which stays visible as such to the one who asks.
MAX_ALIASES = 8


def wire_name(name):
    """A name as labels with their lengths (RFC 1035 §3.1)."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def wire_value(kind, text):
    """The data of a record."""
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind in ("CNAME", "NS", "PTR"):
        return wire_name(text)
    if kind == "MX":
        preference, host = text.split()
        return struct.pack("!H", int(preference)) + wire_name(host)
    if kind == "SRV":
        *numbers, host = text.split()
        return struct.pack("!3H", *map(int, numbers)) + wire_name(host)
    if kind == "TLSA":
        *numbers, data = text.split(maxsplit=3)
        return bytes(map(int, numbers)) + bytes.fromhex(data)
    if kind == "TXT":
        data = text.encode()
        parts = [data[at:at + 255] for at in range(0, len(data), 255)] or [b""]
        return b"".join(bytes([len(part)]) + part for part in parts)
    raise ValueError(f"there are no {kind} records here")


@dataclass
class Zone:
    """All records, by name in lower case and type."""
    records: dict = field(default_factory=dict)

    @classmethod
    def read(cls, text):
        zone = cls()
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if not line or line[0] in ";#":
                continue
            try:
                name, kind, *value = line.split(maxsplit=2)
                zone.add(name, kind, value[0] if value else "")
            except ValueError as error:
                raise ValueError(f"line {number}, `{line}`: {error}") from error
        return zone

    def add(self, name, kind, value):
        kind = kind.upper()
        data = b"" if kind in FAULTS else wire_value(kind, value)
        kinds = self.records.setdefault(name.rstrip(".").lower(), {})
        kinds.setdefault(kind, []).append(data)

    def find(self, name):
        """The records of a name by type; None if it does not exist."""
        name = name.lower()
        if name in self.records:
            return self.records[name]
        _, _, parent = name.partition(".")
        if f"*.{parent}" in self.records:
            return self.records[f"*.{parent}"]
        # A name between others exists, without records (RFC 8020).
        return {} if any(known.endswith(f".{name}") for known in self.records) else None

    def resolve(self, name, kind):
        """What to answer: the reply code (None for no answer at all) and the
        records, each as (name, type, data)."""
        found = []
        for _ in range(MAX_ALIASES):
            kinds = self.find(name)
            if kinds is None:
                return 3, found
            if "SILENT" in kinds:
                return None, []
            if "SERVFAIL" in kinds:
                return 2, []
            if kind in kinds or "CNAME" not in kinds:
                found += [(name, kind, data) for data in kinds.get(kind, [])]
                return 0, found
            data = kinds["CNAME"][0]
            found.append((name, "CNAME", data))
            name = read_name(data, 0)[0]
        return 0, found


def read_name(data, at):
    """The name at a place, and what follows it. Queries compress nothing."""
    labels = []
    while length := data[at]:
        if length > 63:
            raise ValueError("a compressed name in a query")
        labels.append(data[at + 1:at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), at + 1
