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
from dataclasses import dataclass

from agi_router.leaktest.vectors import End, Party, Request, Vector, fill, plantings

__all__ = ["Scene", "callee_script", "caller_script", "outside_script"]

# Milliseconds.
_PAUSE = 60
_ACT = 150
_ANSWER = 250
_LONG = 1500
_REPLY = 10_000
_RING = 40_000

_PROVISIONAL = (100, 180, 181, 182, 183, 199)
_FINAL = (
    *(202, 204, 300, 301, 302, 305, 380),
    *(400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 420, 421, 422),
    *(423, 424, 428, 429, 433, 436, 437, 438, 439, 469, 480, 481, 482, 483, 484, 485, 486, 487),
    *(488, 489, 491, 493, 494, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606, 607),
)
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """
    Who is in a call, and where.

    Attributes:
        vector: What is planted.
        caller: Who calls.
        callee: Who is called.
        other: A third party, whom nobody may reach.
        dialled: The 700 number that the caller dials.
        near: Host and port of the caller's side, as the PBX sees it.
        far: Host and port of the callee's side, as the PBX sees it.
        pbx: Host and port of the PBX.
        decoy: Host and port at which nobody may arrive.
        early_media: Whether the callee sends 183 with a session description, or just 180.
        call_id: Call-ID of the caller's leg.
        tag: A word of the scenario's own, for tags and branches.
        near_media: Port of the caller's sound.
        far_media: Port of the callee's sound.
    """

    vector: Vector
    caller: Party
    callee: Party
    other: Party
    dialled: str
    near: str
    far: str
    pbx: str
    decoy: str
    early_media: bool
    call_id: str
    tag: str
    near_media: int = 9
    far_media: int = 9

    def party(self, side: End) -> Party:
        """Who is on a side."""
        return self.caller if side is End.CALLER else self.callee

    def address(self, side: End) -> str:
        """Host and port of a side."""
        return self.near if side is End.CALLER else self.far


class _Desk:
    """
    One phone: how it writes its messages, planting or not.
    """

    def __init__(self, scene: Scene, side: End, *, party: Party | None = None) -> None:
        self.vector = scene.vector
        self.plants_here = side in scene.vector.by
        self.party = party or scene.party(side)
        self.address = scene.address(side)
        self.host = self.address.rpartition(":")[0]
        self._media = scene.near_media if side is End.CALLER else scene.far_media
        self._plants = plantings(
            self.party, other=scene.other.number, decoy=scene.decoy, trunk=scene.far
        )

    def planted(self, text: str) -> str:
        """*text* filled in, or nothing on a side that does not plant."""
        return fill(text, self._plants) if self.plants_here else ""

    def filled(self, text: str) -> str:
        """*text* filled in, on either side."""
        return fill(text, self._plants)

    @property
    def identity(self) -> str:
        """From, without its tag."""
        return self.planted(self.vector.sender) or f"<sip:{self.party.number}@{self.host}>"

    def contact(self, text: str = "") -> str:
        """Contact, by *text* or that of the call."""
        planted = self.planted(text or self.vector.contact)
        # Where the PBX sends what belongs to the dialog must stay this phone.
        planted = planted.replace("carrier.example", self.address)
        return planted or f"<sip:{self.party.number}@{self.address}>"

    def headers(self, lines: Iterable[str] = ()) -> list[str]:
        """The vector's header lines and *lines*."""
        return [self.planted(line) for line in (*self.vector.headers, *lines) if self.plants_here]

    def sdp(self, direction: str = "sendrecv") -> str:
        """A session description, its lines in the order of RFC 8866."""
        session = ["o=- 1 1 IN IP4 " + self.host, "s=-", f"c=IN IP4 {self.host}"]
        planted = [self.planted(line) for line in self.vector.session if self.plants_here]
        kinds = {line[0] for line in planted}
        session = [line for line in session if line[0] not in kinds] + planted
        session.sort(key=lambda line: "osiuepca".index(line[0]))
        attributes = [line for line in session if line.startswith("a=")]
        media = [self.planted(line) for line in self.vector.media if self.plants_here]
        return "\n".join(
            (
                "v=0",
                *(line for line in session if line not in attributes),
                "t=0 0",
                *attributes,
                f"m=audio {self._media} RTP/AVP 8 0",
                *(line for line in media if line.startswith("i=")),
                "a=rtpmap:8 PCMA/8000",
                "a=rtpmap:0 PCMU/8000",
                f"a={direction}",
                *(line for line in media if line.startswith("a=")),
            )
        )

    def offer(self, direction: str = "sendrecv") -> tuple[list[str], str]:
        """Header lines and body for a session description, with the vector's second part."""
        if self.vector.parts is None or not self.plants_here:
            return ["Content-Type: application/sdp"], self.sdp(direction)
        kind, text = self.vector.parts
        body = "\n".join(
            (
                "--part",
                "Content-Type: application/sdp",
                "",
                self.sdp(direction),
                "--part",
                f"Content-Type: {kind}",
                f"Content-Description: {self.planted('{name}')}",
                "",
                self.planted(text),
                "--part--",
            )
        )
        return ["Content-Type: multipart/mixed;boundary=part"], body


def _message(start: str, headers: Iterable[str], body: str = "") -> str:
    """Join a message; SIPp puts in the length, and CR before each LF."""
    return "\n".join((start, *headers, "Content-Length: [len]", "", body))


class _Script:
    """
    A SIPp scenario in the making.
    """

    def __init__(self, name: str) -> None:
        self._lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<!DOCTYPE scenario SYSTEM "sipp.dtd">',
            f'<scenario name="{name}">',
        ]
        self._labels = 0
        self._optional: list[tuple[str, str]] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def new_label(self) -> str:
        """A name for a place; :meth:`label` sets it."""
        self._labels += 1
        return f"l{self._labels}"

    def label(self, name: str) -> None:
        self.add(f'<label id="{name}"/>')

    def pause(self, milliseconds: int) -> None:
        self.add(f'<pause milliseconds="{milliseconds}"/>')

    def send(self, message: str, *, retransmit: bool = False, then: str = "") -> None:
        """Send *message*; until it is answered if *retransmit*; go on at *then*."""
        again = ' retrans="500"' if retransmit else ""
        self.add(f"<send{again}{_next(then)}><![CDATA[\n\n{message}\n\n]]></send>")

    def hear(self, *codes: int, then: str = "") -> None:
        """Until what is expected next: take responses if they come, and go on at *then*."""
        self._optional += ((f'response="{code}"', then) for code in codes)

    def may_be_asked(self, method: str, then: str) -> None:
        """Until what is expected next: take a request if it comes, and go on at *then*."""
        self._optional.append((f'request="{method}"', then))

    def expect(
        self,
        *,
        response: int = 0,
        request: str = "",
        wait: int = _REPLY,
        late: str = "",
        then: str = "",
        route: bool = False,
        action: str = "",
    ) -> None:
        """
        Wait for a response or a request.

        Args:
            response: Its status.
            request: Its method.
            wait: Milliseconds.
            late: Where to go on if it does not come; without, the scenario has failed.
            then: Where to go on if it comes.
            route: Whether it tells where later requests of the dialog go.
            action: What SIPp is to read off it.
        """
        what = f'response="{response}"' if response else f'request="{request}"'
        # SIPp heeds the time-out of the one it stands at, which is the first that may come.
        time_out = f' timeout="{wait}"' + (f' ontimeout="{late}"' if late else "")
        for optional, place in self._optional:
            self.add(f'<recv {optional} optional="true"{time_out}{_next(place)}/>')
        self._optional.clear()
        routing = ' rrs="true"' if route else ""
        end = f">{action}</recv>" if action else "/>"
        self.add(f"<recv {what}{time_out}{routing}{_next(then)}{end}")

    def encode(self) -> bytes:
        """The file."""
        return "\n".join((*self._lines, "</scenario>\n")).encode("utf-8", "surrogateescape")


def _next(label: str) -> str:
    return f' next="{label}"' if label else ""


class _Talk:
    """
    What a phone does within the dialog, alike for both sides.

    Args:
        script: Where it is written.
        desk: The phone.
        sender: Its From within the dialog, without the tag.
        peer: Its To within the dialog.
        tag: Its tag, also for branches.
        sequence: The CSeq number that comes next.
    """

    def __init__(
        self,
        script: _Script,
        desk: _Desk,
        *,
        sender: str,
        peer: str,
        tag: str,
        sequence: int,
    ) -> None:
        self._script = script
        self._desk = desk
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
        return _message(
            f"{method} [next_url] SIP/2.0",
            (
                f"Via: SIP/2.0/[transport] {self._desk.address};rport;branch=z9hG4bK{branch}",
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
        kind, body = self._desk.offer()
        self._script.send(
            _response(_OK, "OK", self._desk, (*self._desk.headers(), *kind), body), then=back
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
        desk = self._desk
        headers = [desk.planted(line) for line in (*desk.vector.headers, *request.headers)]
        body = desk.planted(request.body)
        headers.append(f"Contact: {desk.contact(request.contact)}")
        if request.sdp:
            kind, body = desk.offer(request.direction)
            headers += kind
        return self._request(
            request.method,
            f"{self._tag}-{self._sequence}",
            sender=desk.planted(request.sender),
            headers=[line for line in headers if line],
            body=body,
        )

    def acts(self, *, bye: str) -> None:
        """All requests of the vector, where this phone plants."""
        if self._desk.plants_here:
            for request in self._desk.vector.requests:
                self.act(request, bye=bye)

    def early(self) -> None:
        """All requests of the vector while it rings, where this phone plants."""
        for request in self._desk.vector.early if self._desk.plants_here else ():
            done = self._script.new_label()
            self._script.send(self._built(request))
            self._script.hear(*_FINAL, then=done)
            self._script.expect(response=_OK, wait=_ANSWER, late=done, then=done)
            self._script.label(done)
            self._sequence += 1

    def hang_up(self) -> None:
        """Hang up, and take the answer."""
        goodbye = self._desk.vector.goodbye if self._desk.plants_here else None
        message = self._built(goodbye or Request(method="BYE"))
        script = self._script
        done, crossed = script.new_label(), script.new_label()
        script.send(message, retransmit=True)
        script.may_be_asked("BYE", crossed)
        script.hear(*_FINAL, then=done)
        script.expect(response=_OK, wait=_REPLY, late=done, then=done)
        script.label(crossed)
        script.send(_response(_OK, "OK", self._desk))
        script.label(done)

    def hangs_up(self, side: End) -> bool:
        """Whether the phone on this side is the one that hangs up."""
        return self._desk.vector.hung_up_by is side

    def is_hung_up(self, *, then: str) -> None:
        """Answer the BYE that has come, and go on at *then*."""
        self._script.send(_response(_OK, "OK", self._desk, self._desk.headers()), then=then)


def _response(
    code: int, phrase: str, desk: _Desk, headers: Iterable[str] = (), body: str = ""
) -> str:
    """A response within the dialog to the request that came last."""
    return _message(
        f"SIP/2.0 {code} {phrase}",
        (
            "[last_Via:]",
            "[last_From:]",
            "[last_To:]",
            "[last_Call-ID:]",
            "[last_CSeq:]",
            f"Contact: {desk.contact()}",
            *headers,
        ),
        body,
    )


def _slots(vector: Vector, side: End) -> int:
    """Milliseconds in which a side may be busy with its requests."""
    return len(vector.requests) * (_ACT + _ANSWER) if side in vector.by else 0


def _goodbye(
    script: _Script, talk: _Talk, side: End, done: str, *, first: int = 0, last: int
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


def _over(script: _Script, done: str) -> None:
    """The end, long enough to answer a retransmission."""
    script.label(done)
    script.add('<timewait milliseconds="50"/>')


def caller_script(scene: Scene) -> bytes:
    """What the caller's phone says and hears."""
    vector, desk = scene.vector, _Desk(scene, End.CALLER)
    script = _Script(vector.name)
    uri = f"sip:{scene.dialled}@{scene.pbx}"
    via = f"Via: SIP/2.0/[transport] {scene.near};rport;branch=z9hG4bK{scene.tag}"
    sender = f"From: {desk.identity};tag={scene.tag}"
    kind, body = desk.offer()
    script.send(
        _message(
            f"INVITE {uri} SIP/2.0",
            (
                via,
                sender,
                f"To: <{uri}>",
                "Call-ID: [call_id]",
                "CSeq: 1 INVITE",
                f"Contact: {desk.contact()}",
                "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, REFER, NOTIFY",
                "Supported: timer, replaces, from-change",
                "Max-Forwards: 70",
                *desk.headers(),
                *kind,
            ),
            body,
        ),
        retransmit=True,
    )
    answered, refused, done = script.new_label(), script.new_label(), script.new_label()
    if vector.cancel is not None:
        script.hear(100)
        script.expect(response=183 if scene.early_media else 180)
        script.pause(_PAUSE * 2)
        lines = (
            via,
            sender,
            f"To: <{uri}>",
            "Call-ID: [call_id]",
            "CSeq: 1 CANCEL",
            "Max-Forwards: 70",
            *desk.headers(vector.cancel.headers),
        )
        script.send(_message(f"CANCEL {uri} SIP/2.0", lines), retransmit=True)
        script.expect(response=_OK)
    script.hear(*_PROVISIONAL)
    script.hear(*_FINAL, then=refused)
    script.expect(response=_OK, wait=_RING, then=answered, route=True)
    script.label(refused)
    script.send(
        _message(
            f"ACK {uri} SIP/2.0",
            (via, sender, "[last_To:]", "Call-ID: [call_id]", "CSeq: 1 ACK", "Max-Forwards: 70"),
        ),
        then=done,
    )
    script.label(answered)
    peer = f"<{uri}>[peer_tag_param]"
    script.send(
        _message(
            "ACK [next_url] SIP/2.0",
            (
                f"Via: SIP/2.0/[transport] {scene.near};rport;branch=z9hG4bK{scene.tag}-ack",
                "[routes]",
                sender,
                f"To: {peer}",
                "Call-ID: [call_id]",
                "CSeq: 1 ACK",
                "Max-Forwards: 70",
                *desk.headers(),
            ),
        )
    )
    talk = _Talk(script, desk, sender=desk.identity, peer=peer, tag=scene.tag, sequence=2)
    busy = _slots(vector, End.CALLEE)
    _goodbye(
        script,
        talk,
        End.CALLER,
        done,
        last=3 * _ACT
        + (busy and busy + _ANSWER)
        + (_LONG if vector.outside or vector.rtp or vector.rtcp else 0),
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


def callee_script(scene: Scene) -> bytes:
    """What the callee's phone hears and says."""
    vector, desk = scene.vector, _Desk(scene, End.CALLEE)
    script = _Script(vector.name)
    tag = f"{scene.tag}b"
    script.expect(request="INVITE", wait=_RING, route=True, action=_READ_INVITE)
    script.add('<Reference variables="via,from,to,cseq"/>')

    def respond(status: str, headers: Iterable[str] = (), body: str = "") -> str:
        """A response to the INVITE, whatever came since."""
        code, _, usual = status.partition(" ")
        phrase = desk.planted(vector.phrase) or desk.filled(usual)
        lines = [*desk.headers(), *headers]
        if not any(line.startswith("Contact:") for line in lines):
            lines.append(f"Contact: {desk.contact()}")
        return _message(
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
    kind, body = desk.offer()
    if scene.early_media:
        script.send(respond("183 Session Progress", kind, body))
    else:
        script.send(respond("180 Ringing"))
    script.pause(_PAUSE)
    for status in vector.after:
        script.send(respond(status))
        script.pause(_PAUSE)
    # The two ends exchanged, for requests of this side.
    sender = desk.planted(vector.sender) or "[$to]"
    talk = _Talk(script, desk, sender=sender, peer="[$from]", tag=tag, sequence=1)
    talk.early()
    done = script.new_label()
    if vector.cancel is not None:
        script.expect(request="CANCEL", wait=_RING)
        script.send(_response(_OK, "OK", desk))
        script.send(respond("487 Request Terminated"), retransmit=True)
        script.expect(request="ACK")
        _over(script, done)
    elif vector.final:
        kind = [f"Content-Type: {vector.body[0]}"] if vector.body else []
        text = desk.planted(vector.body[1]) if vector.body else ""
        script.send(respond(vector.final, kind, text), retransmit=True)
        script.expect(request="ACK")
        _over(script, done)
    else:
        script.send(respond("200 OK", kind, body), retransmit=True)
        script.expect(request="ACK")
        busy = _slots(vector, End.CALLER) if vector.requests else 0
        _goodbye(script, talk, End.CALLEE, done, first=busy, last=3 * _ACT)
    return script.encode()


def outside_script(scene: Scene, side: End, *, replaces: str) -> bytes:
    """
    What another phone on one side sends during the call, and hears.

    Args:
        scene: The call.
        side: From which side it comes.
        replaces: Value of the Replaces header, if there is to be one.
    """
    outside = scene.vector.outside
    assert outside is not None  # noqa: S101 - asked for only where there is one
    desk = _Desk(scene, side, party=scene.other if outside.stranger else None)
    script, request = _Script(scene.vector.name), outside.request
    uri = f"sip:{scene.dialled}@{scene.pbx}"
    tag = f"{scene.tag}-{side.value}"
    via = f"Via: SIP/2.0/[transport] {desk.address};rport;branch=z9hG4bK{tag}"
    sender = f"From: {desk.planted('{identity}')};tag={tag}"
    lines = [
        "Max-Forwards: 70",
        f"Contact: {desk.contact()}",
        *desk.headers(request.headers),
        *([f"Replaces: {replaces}"] if replaces else []),
    ]
    body = desk.planted(request.body)
    if request.sdp:
        kind, body = desk.offer(request.direction)
        lines += kind

    def of(method: str, start: str, to: str, lines: Iterable[str] = (), body: str = "") -> str:
        branch = via if method == request.method else f"{via}-{method}"
        sequence = f"CSeq: {2 if method == 'BYE' else 1} {method}"
        return _message(start, (branch, sender, to, "Call-ID: [call_id]", sequence, *lines), body)

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
