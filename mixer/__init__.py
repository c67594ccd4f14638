"""mrfp's data plane: SRTP in, one mix out, twenty milliseconds at a time.

One packet, socket to socket. Each step is a room of its own; `engine.py` walks through them in order.

    receive    recvmmsg into the rows of a batch                              udp
    parse      RTP, RTCP or something else; headers as columns                wire
    route      (address, SSRC) to a leg; newcomers prove who they are         routes, admission
    decrypt    srtp_unprotect in place, each by its leg's session             srtp
    place      to the playout ring at the RTP timestamp; or encoded, to wait  placing, playout, waiting
      ...      the tick
    decode     codecs with memory: what is due of legs that can matter        decoding, codecs
    take       one tick of every leg; what is missing is concealed            voices, playout, conceal
    shape      at the rate of the mix; noise and loudness, if so asked        resample, denoise, levelling
    seat       who is mixed: the loudest of each conference, with patience    talkers
    mix        their sum, and minus self; turned down if it is too loud       mixing, limiter, window
    lay over   what plays; and a copy for what is recorded                    prompts, taps
    cast       who hears the common mix, who something of its own             casting
    encode     once for each distinct (mix, format)                           prototypes, encoding, codecs
    encrypt    once for each distinct (packet, key)                           downlink, srtp
    send       sendmmsg; listeners of one stream share one packet             udp

Words, as the code uses them:

    leg          one endpoint's two directions of media; a row of `legs`
    conference   legs that hear each other; a row of `conferences`
    stream       a sequence of RTP packets that we send: SSRC, index, codec; the *common* stream of a
                 format says the whole mix, a *minus* stream the mix without its listener
    format       what legs must share to be sent the same octets: codec, settings, clock, ptime, extension
    epoch        the reign of one group key in a conference
    index        ROC << 16 | SEQ, the 48-bit packet index of SRTP
    batch        the datagrams of one receive; fanout: those of one send
    frame        the number of a tick; the engine's only clock
    fate         what became of a datagram: accepted, or one `Drop`

The floors, each importing only from those below:

    facts        drops batch wire suites secret samples port config counters addresses rows spread
    calculation  conceal denoise limiter matching mixing resample window rtcp, `codecs`
    state        srtp registry routes streams epochs conferences legs reception waiting, `playout`, all in `state`
    the story    admission grace placing uplink keypads, chances decoding voices levelling talkers dominance,
                 `prompts` taps, plans casting sheet sources tuning encoding dials prototypes keying downlink,
                 reports handshakes rates watch, wishes status keydesk legdesk desk parts, `engine`
    the world    udp ports timer stages crew `studio`, `service`

Nothing here knows JSON, SIP or policy.
"""

from __future__ import annotations

__version__ = "0.1.0"
