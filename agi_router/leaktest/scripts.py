"""
Scripts: what each phone of a scenario says and hears, as a SIPp scenario.

1. A script is whole: everything in it is known before the call, but what the other end says.
2. A phone never gives up over a message that it did not expect: what a PBX sends is the finding,
   not the fault. SIPp answers INFO, NOTIFY, OPTIONS and UPDATE by itself (``-aa``).
3. Nobody waits for a message that a hardened PBX does not send.

Source:
    SIPp 3.6 reference, "Create your own XML scenarios"; RFC 3261, 3311, 3515, 3891, 8866.
"""

from __future__ import annotations

from collections.abc import Iterable

from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.phone_messages import PhoneMessages, message
from agi_router.leaktest.sipp import REPLY, SippFile
from agi_router.leaktest.vectors import End, Request, Vector

__all__ = ["callee_script", "caller_script", "outside_script"]

# Milliseconds: between responses, before a request, for its answer, for what others have to say
# during the call, before the answer and by sound, and for a call that rings or talks.
_PAUSE = 60
_ACT = 150
_ANSWER = 250
_LONG = 1500
_EARLY = 800
_TOLD = 2500
_RING = 40_000

_PROVISIONAL = (100, 180, 181, 182, 183, 199)
_FINAL = (
    *(202, 204, 300, 301, 302, 305, 380),
    *(400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 420, 421, 422),
    *(423, 424, 428, 429, 433, 436, 437, 438, 439, 469, 480, 481, 482, 483, 484, 485, 486, 487),
    *(488, 489, 491, 493, 494, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606, 607),
)
_OK = 200


class _Talk:
    """
    What a phone does within the dialog, alike for both sides.

    Args:
        script: Where it is written.
        phone: Its messages.
        sender: Its From within the dialog, without the tag.
        peer: Its To within the dialog.
        tag: Its tag, also for branches.
        sequence: The CSeq number that comes next.
    """

    def __init__(
        self,
        script: SippFile,
        phone: PhoneMessages,
        *,
        sender: str,
        peer: str,
        tag: str,
        sequence: int,
    ) -> None:
        self._script = script
        self._phone = phone
        self._sender = sender
        self._peer = peer
        self._tag = tag
        self._sequence = sequence

    def _request(
        self,
        method: str,
        branch: str,
        *,
        sender: str = "",
        headers: Iterable[str] = (),
        body: str = "",
    ) -> str:
        return message(
            f"{method} [next_url] SIP/2.0",
            (
                f"Via: SIP/2.0/[transport] {self._phone.address};rport;branch=z9hG4bK{branch}",
                "[routes]",
                f"From: {sender or self._sender};tag={self._tag}",
                f"To: {self._peer}",
                "Call-ID: [call_id]",
                f"CSeq: {self._sequence} {method}",
                "Max-Forwards: 70",
                *headers,
            ),
            body,
        )

    def _answer(self, back: str) -> None:
        """Answer a re-INVITE of the PBX, and go on at *back*."""
        kind, body = self._phone.offer()
        self._script.send(
            _response(_OK, "OK", self._phone, (*self._phone.headers(), *kind), body), then=back
        )

    def wait(self, milliseconds: int, *, bye: str, late: str) -> None:
        """Talk for a time, then go on at *late*; at *bye* if the PBX hangs up."""
        again, asked = self._script.new_label(), self._script.new_label()
        self._script.label(again)
        self._script.may_be_asked("INVITE", asked)
        self._script.may_be_asked("ACK", again)
        self._script.expect(request="BYE", wait=milliseconds, late=late, then=bye)
        self._script.label(asked)
        self._answer(again)

    def act(self, request: Request, *, bye: str) -> None:
        """Send one request, and take whatever answer comes, or none."""
        script = self._script
        start, refused, done = script.new_label(), script.new_label(), script.new_label()
        self.wait(_ACT, bye=bye, late=start)
        script.label(start)
        script.send(self._built(request))
        again, asked = script.new_label(), script.new_label()
        script.label(again)
        script.hear(*_PROVISIONAL)
        script.hear(*_FINAL, then=refused if request.method == "INVITE" else done)
        script.may_be_asked("INVITE", asked)
        script.may_be_asked("ACK", again)
        script.may_be_asked("BYE", bye)
        accepted = script.new_label()
        script.expect(response=_OK, wait=_ANSWER, late=done, then=accepted)
        script.label(asked)
        self._answer(again)
        script.label(refused)
        if request.method == "INVITE":
            script.send(self._request("ACK", f"{self._tag}-{self._sequence}"), then=done)
        script.label(accepted)
        if request.method == "INVITE":
            script.send(self._request("ACK", f"{self._tag}-{self._sequence}-ack"))
        script.label(done)
        self._sequence += 1

    def _built(self, request: Request) -> str:
        phone = self._phone
        headers = [phone.planted(line) for line in (*phone.vector.headers, *request.headers)]
        body = phone.planted(request.body)
        headers.append(f"Contact: {phone.contact(request.contact)}")
        if request.sdp:
            kind, body = phone.offer(request.direction, moves=request.moves)
            headers += kind
        return self._request(
            request.method,
            f"{self._tag}-{self._sequence}",
            sender=phone.planted(request.sender),
            headers=[line for line in headers if line],
            body=body,
        )

    def acts(self, *, bye: str) -> None:
        """All requests of the vector, where this phone plants."""
        if self._phone.plants_here:
            for request in self._phone.vector.requests:
                self.act(request, bye=bye)

    def early(self) -> None:
        """All requests of the vector while it rings, where this phone plants."""
        for request in self._phone.vector.early if self._phone.plants_here else ():
            done = self._script.new_label()
            self._script.send(self._built(request))
            self._script.hear(*_FINAL, then=done)
            self._script.expect(response=_OK, wait=_ANSWER, late=done, then=done)
            self._script.label(done)
            self._sequence += 1

    def hang_up(self) -> None:
        """Hang up, and take the answer."""
        goodbye = self._phone.vector.goodbye if self._phone.plants_here else None
        message = self._built(goodbye or Request(method="BYE"))
        script = self._script
        done, crossed = script.new_label(), script.new_label()
        script.send(message, retransmit=True)
        script.may_be_asked("BYE", crossed)
        script.hear(*_FINAL, then=done)
        script.expect(response=_OK, wait=REPLY, late=done, then=done)
        script.label(crossed)
        script.send(_response(_OK, "OK", self._phone))
        script.label(done)

    def hangs_up(self, side: End) -> bool:
        """Whether the phone on this side is the one that hangs up."""
        return self._phone.vector.hung_up_by is side

    def is_hung_up(self, *, then: str) -> None:
        """Answer the BYE that has come, and go on at *then*."""
        self._script.send(_response(_OK, "OK", self._phone, self._phone.headers()), then=then)


def _response(
    code: int, phrase: str, phone: PhoneMessages, headers: Iterable[str] = (), body: str = ""
) -> str:
    """A response within the dialog to the request that came last."""
    return message(
        f"SIP/2.0 {code} {phrase}",
        (
            "[last_Via:]",
            "[last_From:]",
            "[last_To:]",
            "[last_Call-ID:]",
            "[last_CSeq:]",
            f"Contact: {phone.contact()}",
            *headers,
        ),
        body,
    )


def _slots(vector: Vector, side: End) -> int:
    """Milliseconds in which a side may be busy with its requests."""
    return len(vector.requests) * (_ACT + _ANSWER) if side in vector.by else 0


def _goodbye(
    script: SippFile, talk: _Talk, side: End, done: str, *, first: int = 0, last: int
) -> None:
    """
    A talk and its end: one side hangs up, the other is hung up.

    Args:
        script: Where it is written.
        talk: Who talks.
        side: On which side.
        done: The label to set at the end.
        first: Milliseconds until the phone begins with its requests.
        last: Milliseconds from the last of them until it hangs up, if it is the one.
    """
    begin, bye, hang_up = script.new_label(), script.new_label(), script.new_label()
    if first:
        talk.wait(first, bye=bye, late=begin)
        script.label(begin)
    talk.acts(bye=bye)
    talk.wait(last if talk.hangs_up(side) else _RING, bye=bye, late=hang_up)
    script.label(bye)
    talk.is_hung_up(then=done)
    script.label(hang_up)
    talk.hang_up()
    _over(script, done)


def _over(script: SippFile, done: str) -> None:
    """The end, long enough to answer a retransmission."""
    script.label(done)
    script.add('<timewait milliseconds="50"/>')


def caller_script(setup: CallSetup) -> bytes:
    """What the caller's phone says and hears."""
    vector, phone = setup.vector, PhoneMessages(setup, End.CALLER)
    script = SippFile(vector.name)
    uri = f"sip:{setup.dialled}@{setup.pbx}"
    via = f"Via: SIP/2.0/[transport] {setup.near};rport;branch=z9hG4bK{setup.tag}"
    sender = f"From: {phone.identity};tag={setup.tag}"
    kind, body = phone.offer()
    script.send(
        message(
            f"INVITE {uri} SIP/2.0",
            (
                via,
                sender,
                f"To: <{uri}>",
                "Call-ID: [call_id]",
                "CSeq: 1 INVITE",
                f"Contact: {phone.contact()}",
                "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, REFER, NOTIFY",
                "Supported: timer, replaces, from-change",
                "Max-Forwards: 70",
                *phone.headers(),
                *kind,
            ),
            body,
        ),
        retransmit=True,
    )
    answered, refused, done = script.new_label(), script.new_label(), script.new_label()
    if vector.cancel is not None:
        script.hear(100)
        # A PBX that lets no sound through before the answer rings instead.
        rings = script.new_label()
        script.hear(183, then=rings)
        script.expect(response=180)
        script.label(rings)
        script.pause(_PAUSE * 2)
        lines = (
            via,
            sender,
            f"To: <{uri}>",
            "Call-ID: [call_id]",
            "CSeq: 1 CANCEL",
            "Max-Forwards: 70",
            *phone.headers(vector.cancel.headers),
        )
        script.send(message(f"CANCEL {uri} SIP/2.0", lines), retransmit=True)
        script.expect(response=_OK)
    script.hear(*_PROVISIONAL)
    script.hear(*_FINAL, then=refused)
    script.expect(response=_OK, wait=_RING, then=answered, route=True)
    script.label(refused)
    script.send(
        message(
            f"ACK {uri} SIP/2.0",
            (via, sender, "[last_To:]", "Call-ID: [call_id]", "CSeq: 1 ACK", "Max-Forwards: 70"),
        ),
        then=done,
    )
    script.label(answered)
    peer = f"<{uri}>[peer_tag_param]"
    script.send(
        message(
            "ACK [next_url] SIP/2.0",
            (
                f"Via: SIP/2.0/[transport] {setup.near};rport;branch=z9hG4bK{setup.tag}-ack",
                "[routes]",
                sender,
                f"To: {peer}",
                "Call-ID: [call_id]",
                "CSeq: 1 ACK",
                "Max-Forwards: 70",
                *phone.headers(),
            ),
        )
    )
    talk = _Talk(script, phone, sender=phone.identity, peer=peer, tag=setup.tag, sequence=2)
    busy = _slots(vector, End.CALLEE)
    _goodbye(
        script,
        talk,
        End.CALLER,
        done,
        last=3 * _ACT
        + (busy and busy + _ANSWER)
        + (_LONG if vector.outside else 0)
        + (_TOLD if vector.sound else 0),
    )
    return script.encode()


_READ_INVITE = "<action>{}</action>".format(
    "".join(
        f'<ereg regexp="{pattern}" search_in="hdr" header="{header}:" assign_to="{name}"/>'
        for name, header, pattern in (
            ("via", "Via", ".*"),
            ("from", "From", ".*"),
            ("to", "To", ".*"),
            ("cseq", "CSeq", "[0-9]+"),
        )
    )
)


def callee_script(setup: CallSetup) -> bytes:
    """What the callee's phone hears and says."""
    vector, phone = setup.vector, PhoneMessages(setup, End.CALLEE)
    script = SippFile(vector.name)
    tag = f"{setup.tag}b"
    script.expect(request="INVITE", wait=_RING, route=True, action=_READ_INVITE)
    script.add('<Reference variables="via,from,to,cseq"/>')

    def respond(status: str, headers: Iterable[str] = (), body: str = "") -> str:
        """A response to the INVITE, whatever came since."""
        code, _, usual = status.partition(" ")
        phrase = phone.planted(vector.phrase) or phone.filled(usual)
        lines = [*phone.headers(), *headers]
        if not any(line.startswith("Contact:") for line in lines):
            lines.append(f"Contact: {phone.contact()}")
        return message(
            f"SIP/2.0 {code} {phrase}",
            (
                "Via: [$via]",
                "From: [$from]",
                f"To: [$to];tag={tag}",
                "Call-ID: [call_id]",
                "CSeq: [$cseq] INVITE",
                *lines,
            ),
            body,
        )

    for status in vector.before:
        script.send(respond(status))
        script.pause(_PAUSE)
    kind, body = phone.offer()
    if setup.early_media:
        script.send(respond("183 Session Progress", kind, body))
    else:
        script.send(respond("180 Ringing"))
    script.pause(_PAUSE)
    if setup.early_media and vector.sound:
        script.pause(_EARLY)
    for status in vector.after:
        script.send(respond(status))
        script.pause(_PAUSE)
    # The two ends exchanged, for requests of this side.
    sender = phone.planted(vector.sender) or "[$to]"
    talk = _Talk(script, phone, sender=sender, peer="[$from]", tag=tag, sequence=1)
    talk.early()
    done = script.new_label()
    if vector.cancel is not None:
        script.expect(request="CANCEL", wait=_RING)
        script.send(_response(_OK, "OK", phone))
        script.send(respond("487 Request Terminated"), retransmit=True)
        script.expect(request="ACK")
        _over(script, done)
    elif vector.final:
        kind = [f"Content-Type: {vector.body[0]}"] if vector.body else []
        text = phone.planted(vector.body[1]) if vector.body else ""
        script.send(respond(vector.final, kind, text), retransmit=True)
        script.expect(request="ACK")
        _over(script, done)
    else:
        script.send(respond("200 OK", kind, body), retransmit=True)
        script.expect(request="ACK")
        busy = _slots(vector, End.CALLER) if vector.requests else 0
        _goodbye(script, talk, End.CALLEE, done, first=busy, last=3 * _ACT)
    return script.encode()


def outside_script(setup: CallSetup, side: End, *, replaces: str) -> bytes:
    """
    What another phone on one side sends during the call, and hears.

    Args:
        setup: The call.
        side: From which side it comes.
        replaces: Value of the Replaces header, if there is to be one.
    """
    outside = setup.vector.outside
    assert outside is not None  # noqa: S101 - asked for only where there is one
    phone = PhoneMessages(setup, side, party=setup.other if outside.stranger else None)
    script, request = SippFile(setup.vector.name), outside.request
    uri = f"sip:{setup.dialled}@{setup.pbx}"
    tag = f"{setup.tag}-{side.value}"
    via = f"Via: SIP/2.0/[transport] {phone.address};rport;branch=z9hG4bK{tag}"
    sender = f"From: {phone.planted('{identity}')};tag={tag}"
    lines = [
        "Max-Forwards: 70",
        f"Contact: {phone.contact()}",
        *phone.headers(request.headers),
        *([f"Replaces: {replaces}"] if replaces else []),
    ]
    body = phone.planted(request.body)
    if request.sdp:
        kind, body = phone.offer(request.direction)
        lines += kind

    def of(method: str, start: str, to: str, lines: Iterable[str] = (), body: str = "") -> str:
        branch = via if method == request.method else f"{via}-{method}"
        sequence = f"CSeq: {2 if method == 'BYE' else 1} {method}"
        return message(start, (branch, sender, to, "Call-ID: [call_id]", sequence, *lines), body)

    done, refused, accepted = script.new_label(), script.new_label(), script.new_label()
    script.send(of(request.method, f"{request.method} {uri} SIP/2.0", f"To: <{uri}>", lines, body))
    script.hear(*_PROVISIONAL)
    if request.method != "INVITE":
        script.hear(*_FINAL, then=done)
        script.expect(response=_OK, wait=_ANSWER, late=done, then=done)
    else:
        script.hear(*_FINAL, then=refused)
        script.expect(response=_OK, wait=_RING, then=accepted, route=True)
        script.label(refused)
        # The ACK to a refusal belongs to the transaction of the INVITE.
        ack = of("ACK", f"ACK {uri} SIP/2.0", "[last_To:]", ("Max-Forwards: 70",))
        script.send(ack.replace(f"{via}-ACK", via), then=done)
        script.label(accepted)
        to = f"To: <{uri}>[peer_tag_param]"
        script.send(of("ACK", "ACK [next_url] SIP/2.0", to, ("Max-Forwards: 70",)))
        script.pause(_ANSWER)
        script.send(of("BYE", "BYE [next_url] SIP/2.0", to, ("Max-Forwards: 70",)))
        script.hear(*_FINAL, then=done)
        script.expect(response=_OK, wait=_ANSWER, late=done, then=done)
    _over(script, done)
    return script.encode()
