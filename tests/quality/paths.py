"""Two ways from a mouth to an ear: through a whole conference, and through the same codecs without one.

Both begin and end with codecs that are not ours (`tests.codecs`). In between the mixer decodes, mixes and encodes;
the direct way decodes and encodes by the same libraries, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.codecs import Coder, Decoder, Table, find
from mixer.samples import Samples
from tests import codecs
from tests.mixer.codecs.sound import speech
from tests.mixer.net import Net
from tests.mixer.phone import Numbers, Voice
from tests.mixer.room import Room

PACKETS_A_SECOND: Final = 50
AFTER_MS: Final = 400
"""What was said last is still on its way so long."""


class Loses(Net):
    """Loses a share of the packets of the first who sends; `gone` are their numbers."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__(seed)
        self.gone: set[int] = set()
        self._share, self._dice = share, random.Random(seed)
        self._from, self._number = "", 0

    def send(self, now_ns: int, octets: bytes, source: str, local: int = 0) -> None:
        self._from = self._from or source
        if source == self._from:
            self._number += 1
            if self._dice.random() < self._share:
                self.gone.add(self._number - 1)
                return
        super().send(now_ns, octets, source, local)


@dataclass(frozen=True)
class Path:
    """From a talker to a listener, in a mix of `rate` Hz."""

    talker: str
    listener: str
    rate: int

    def whole(self, net: Loses | None = None) -> Samples:
        """Through the engine, beside three who are silent: int16, at the listener's rate."""
        said = speech(codecs.RATES[self.talker])
        room = Room(net=net)
        room.create("unique", rate=self.rate)
        room.join("talker", recorded(said), codec=self.talker).mouth = self._mouth()
        ear = room.join("ear", codec=self.listener, direction="recvonly", rx=None)
        for codec in ("PCMU", "G722", "opus"):
            room.join(f"silent-{codec}", silence, codec=codec)
        room.run(len(said) * 1000 // codecs.RATES[self.talker] + AFTER_MS)
        assert not ear.refused
        return ear.audio()

    def direct(self, gone: Collection[int] = ()) -> Samples:
        """Decoded and encoded again, the packets of these numbers lost."""
        said = speech(codecs.RATES[self.talker])
        mouth = self._mouth()
        payloads = [mouth.encode(part) for part in packets(said, codecs.RATES[self.talker])]
        decoded, rate = self._decoded(payloads, gone)
        return self._encoded(decoded, rate)

    def single(self) -> Samples:
        """Said and heard in one codec: what the endpoints cost alone, at the talker's rate."""
        mouth, ear = self._mouth(), codecs.ear(self.talker)
        said = packets(speech(codecs.RATES[self.talker]), codecs.RATES[self.talker])
        return np.concatenate([ear.decode(mouth.encode(part)) for part in said])

    def _mouth(self) -> codecs.Mouth:
        fec = {"fec": "1", "packet_loss": "10"} if self.talker == "opus" else {}
        return codecs.mouth(self.talker, 20, **fec)

    def _decoded(self, payloads: list[bytes], gone: Collection[int]) -> tuple[Samples, int]:
        codec = find(self.talker)
        if isinstance(codec, Table):
            rows = codec.decode(np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1))
            rows[list(gone)] = 0
            return rows.reshape(-1), codecs.RATES[self.talker]
        assert isinstance(codec, Coder)
        rate = codec.sampling(codec.clocks[0], self.rate)
        return decoded(codec.decoder(rate), payloads, gone, rate // PACKETS_A_SECOND), rate

    def _encoded(self, samples: Samples, rate: int) -> Samples:
        codec, ear = find(self.listener), codecs.ear(self.listener)
        if isinstance(codec, Table):
            own = codecs.RATES[self.listener]
            payloads = [codec.encode(part[None])[0].tobytes() for part in packets(resampled(samples, rate, own), own)]
        else:
            assert isinstance(codec, Coder)
            own = codec.sampling(codec.clocks[0], self.rate)
            encoder = codec.encoder(own, 1000 // PACKETS_A_SECOND, None)
            payloads = [encoder.encode(part) for part in packets(resampled(samples, rate, own), own)]
        return np.concatenate([ear.decode(payload) for payload in payloads])


def decoded(decoder: Decoder, payloads: list[bytes], gone: Collection[int], width: int) -> Samples:
    """What is lost is repeated by the next packet (FEC), or else concealed by the decoder."""
    heard = []
    for number, payload in enumerate(payloads):
        if number not in gone:
            heard.append(decoder.decode(payload))
            continue
        after = number + 1
        known = after < len(payloads) and after not in gone
        repeated = decoder.recover(payloads[after], width) if known else None
        heard.append(decoder.conceal(width) if repeated is None else repeated)
    return np.concatenate(heard)


def packets(samples: Samples, rate: int) -> list[Samples]:
    """Of 20 ms, without the rest that fills none."""
    width = rate // PACKETS_A_SECOND
    return [samples[at : at + width] for at in range(0, len(samples) - width + 1, width)]


def recorded(samples: Samples) -> Voice:
    """A voice that says them once."""

    def voice(at: Numbers) -> Samples:
        return np.where(at < len(samples), samples[np.minimum(at, len(samples) - 1)], 0).astype(np.int16)

    return voice


def silence(at: Numbers) -> Samples:
    """A voice that says nothing, aloud."""
    return np.zeros(len(at), np.int16)


def resampled(samples: NDArray[np.int16], rate: int, wanted: int) -> Samples:
    """The same sound at another rate, exactly: by its spectrum."""
    count = len(samples) * wanted // rate
    spectrum = np.zeros(count // 2 + 1, complex)
    found = np.fft.rfft(samples)[: len(spectrum)]
    spectrum[: len(found)] = found
    sound = np.fft.irfft(spectrum, count) * (wanted / rate)
    return np.clip(np.rint(sound), -32767, 32767).astype(np.int16)
