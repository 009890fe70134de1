"""Delivery status notifications (RFC 3464), read by Python's email package."""

from dataclasses import dataclass

from base.output import Failure


@dataclass
class Told:
    """What a notice says of one recipient."""
    action: str
    status: str
    final: str
    original: str
    diagnostic: str
    remote: str


@dataclass
class Report:
    """A whole notice."""
    envelope_id: str
    recipients: list
    # The part with the message, or with its header.
    returned: object
    whole: bool
    text: str

    def of(self, address):
        """What it says of the recipient."""
        for told in self.recipients:
            if told.final.lower().endswith(address.lower()):
                return told
        raise Failure(f"the notice does not tell of {address}: {self.recipients}")


def parse(message):
    """Takes a notice apart, and complains of what RFC 3462 and 3464 demand."""
    kind = (message.get_content_type(), message.get_param("report-type"))
    if kind != ("multipart/report", "delivery-status"):
        raise Failure(f"a notice is {kind} instead of multipart/report:\n{message}")
    parts = list(message.iter_parts())
    kinds = [part.get_content_type() for part in parts]
    if kinds[1:2] != ["message/delivery-status"]:
        raise Failure(f"a notice has the parts {kinds}")
    if parts[0].get_content_maintype() not in ("text", "multipart"):
        raise Failure(f"a notice begins with {kinds[0]}, which nobody can read")
    about, *blocks = parts[1].get_payload()
    if about["Reporting-MTA"] is None or not blocks:
        raise Failure(f"a notice lacks Reporting-MTA or recipients:\n{parts[1]}")
    text = parts[0].get_body(("plain",)) if parts[0].is_multipart() else parts[0]
    returned, whole = None, False
    if len(parts) > 2:
        whole = kinds[2] == "message/rfc822"
        returned = parts[2].get_payload(0) if whole else parts[2].get_content()
    return Report(str(about["Original-Envelope-Id"] or ""), [told(block) for block in blocks],
                  returned, whole, text.get_content())


def told(block):
    def value(name):
        # Folded fields, and the type before the semicolon.
        return " ".join(str(block[name] or "").split())
    for name in "Final-Recipient", "Action", "Status":
        if not value(name):
            raise Failure(f"a notice lacks {name}:\n{block}")
    return Told(value("Action").lower(), value("Status"), value("Final-Recipient"),
                value("Original-Recipient"), value("Diagnostic-Code"), value("Remote-MTA"))
