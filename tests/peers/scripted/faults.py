"""What a scripted peer does wrong, and when.

A fault is an object of the plan: `{"phase": "rcpt", "action": "reset", "times": 1}`.

phase    when it happens: `connect` (at once, nothing sent), `greeting` (half of it
         sent), then at the client's `ehlo` (not at HELO), `helo` (either),
         `starttls`, `handshake` (STARTTLS was granted), `mail`, `rcpt`, `data`
         (DATA or the first BDAT), `content` (a part of it has come), `dot` (all has
         come, or the last chunk), `rset`, `quit`
action   `reset` (a TCP reset), `close`, `hang` (nothing more is sent or read),
         `garbage` (bytes that mean nothing, then close), `die` (only at `dot`: the
         message is taken, then comes a reset instead of the reply), or the text of
         a reply such as `451 4.3.0 try later`; a 421 closes the connection
times    how often, over all connections; without it always
match    only where the command contains this, in any case
"""

from dataclasses import dataclass

PHASES = ("connect", "greeting", "ehlo", "helo", "starttls", "handshake", "mail", "rcpt", "data",
          "content", "dot", "rset", "quit")
ACTIONS = ("reset", "close", "hang", "garbage", "die")


@dataclass
class Fault:
    phase: str
    action: str
    times: int = None
    match: str = ""
    # How often it has happened.
    count: int = 0

    def __post_init__(self):
        if self.phase not in PHASES:
            raise ValueError(f"`{self.phase}` is no phase; there are {', '.join(PHASES)}")
        if self.action not in ACTIONS and not self.is_reply:
            raise ValueError(f"`{self.action}` is no action; there are {', '.join(ACTIONS)}, and "
                             "replies such as `451 4.3.0 try later`")
        if self.action == "die" and self.phase != "dot":
            raise ValueError("`die` is for the phase `dot`")

    @property
    def is_reply(self):
        return self.action[:3].isdigit()

    def applies(self, phase, command):
        used_up = self.times is not None and self.count >= self.times
        return phase == self.phase and not used_up and self.match.lower() in command.lower()
