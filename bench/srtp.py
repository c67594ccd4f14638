"""SRTP for the measuring end: sessions, whole batches of packets, MKI and ROC.

The only file of `bench/` that touches libsrtp. It is called through pylibsrtp's own binding with
prepared pointers, which costs half of what `pylibsrtp.Session` does; what that binding does not
declare (ROC, AES-256-CM) is reached in the same shared object through cffi's ABI mode.

An MKI is spliced here, outside libsrtp, because no byte of it enters the cipher or the tag:

    AES-CM   header | payload | MKI | tag        RFC 3711 section 3.1
    AEAD     header | payload | tag | MKI        RFC 7714 section 8.2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import cffi
import numpy as np
import pylibsrtp
from numpy.typing import NDArray
from pylibsrtp import _binding

from mixer.suites import SUITES, Suite

Octets: TypeAlias = NDArray[np.uint8]
Handle: TypeAlias = Any
"""A cffi srtp_t; libsrtp frees it with the last reference."""

_ffi = cffi.FFI()
_ffi.cdef(
    """
    typedef struct { int type; unsigned int value; } ssrc_t;
    typedef struct { uint32_t cipher_type; int cipher_key_len; uint32_t auth_type; int auth_key_len;
                     int auth_tag_len; int sec_serv; } crypto_policy_t;
    typedef struct {
        ssrc_t ssrc; crypto_policy_t rtp; crypto_policy_t rtcp; unsigned char *key; void *keys;
        unsigned long num_master_keys; void *deprecated_ekt; unsigned long window_size;
        int allow_repeat_tx; int *enc_xtn_hdr; int enc_xtn_hdr_count; void *next;
    } policy_t;
    int srtp_create(void **session, const policy_t *policy);
    int srtp_dealloc(void *session);
    int srtp_set_stream_roc(void *session, uint32_t ssrc, uint32_t roc);
    const char *srtp_get_version_string(void);
    void srtp_crypto_policy_set_rtp_default(crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_gcm_128_16_auth(crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_gcm_256_16_auth(crypto_policy_t *p);
    """
)
_abi: Any = _ffi.dlopen(_binding.__file__)
_api: Any = _binding.lib
_cast: Any = _binding.ffi.cast
_gc: Any = _binding.ffi.gc

_SETTER: Final = {
    "AES_CM_128_HMAC_SHA1_80": _abi.srtp_crypto_policy_set_rtp_default,
    "AES_CM_128_HMAC_SHA1_32": _abi.srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
    "AES_256_CM_HMAC_SHA1_80": _abi.srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
    "AEAD_AES_128_GCM": _abi.srtp_crypto_policy_set_aes_gcm_128_16_auth,
    "AEAD_AES_256_GCM": _abi.srtp_crypto_policy_set_aes_gcm_256_16_auth,
}
_SPECIFIC: Final = 1
_ANY_INBOUND: Final = 2
_WINDOW: Final = 1024
_RUN: Final = 1024
"""Rows decrypted at a time by `unprotect_rows`."""


class SrtpError(Exception):
    """libsrtp refused: the message says what was asked of it."""


def _check_library() -> None:
    version = _ffi.string(_abi.srtp_get_version_string()).decode()
    same = _ffi.sizeof("policy_t") == _binding.ffi.sizeof("srtp_policy_t")
    if not same or not version.startswith("libsrtp2 2."):
        raise SrtpError(f"bench needs libsrtp 2 and this is {version}: pip install 'pylibsrtp==1.0.*'")


_check_library()


def open_session(suite: Suite, secret: bytes, ssrc: int | None = None, roc: int = 0) -> Handle:
    """A session for one stream to send (`ssrc` given) or for whatever arrives (`ssrc` None).

    Args:
        secret: key || salt, `suite.secret` octets.
        roc: rollover counter at which the stream joins; needs an `ssrc`.
    """
    if len(secret) != suite.secret:
        raise SrtpError(f"{suite.name} wants {suite.secret} octets of key and salt, not {len(secret)}")
    policy = _ffi.new("policy_t *")
    _SETTER[suite.name](_ffi.addressof(policy, "rtp"))
    _SETTER[suite.name](_ffi.addressof(policy, "rtcp"))
    key = _ffi.new("unsigned char[]", secret)
    policy.key = key
    policy.window_size = _WINDOW
    policy.ssrc.type = _ANY_INBOUND if ssrc is None else _SPECIFIC
    policy.ssrc.value = ssrc or 0
    slot = _ffi.new("void **")
    if error := _abi.srtp_create(slot, policy):
        raise SrtpError(f"srtp_create for {suite.name}: libsrtp error {error}")
    _ffi.memmove(key, bytes(len(secret)), len(secret))
    if roc and (ssrc is None or _abi.srtp_set_stream_roc(slot[0], ssrc, roc)):
        raise SrtpError("a ROC can only be set on a session with an SSRC")
    return _gc(_cast("srtp_t", int(_ffi.cast("uintptr_t", slot[0]))), _api.srtp_dealloc)


class WorkRows:
    """Rows of packets that libsrtp works on in place: arrays that never move, and pointers into them."""

    def __init__(self, rows: int, stride: int) -> None:
        self.octets: Octets = np.zeros((rows, stride), np.uint8)
        self.length: NDArray[np.int32] = np.zeros(rows, np.int32)
        base, sizes = self.octets.ctypes.data, self.length.ctypes.data
        self._packets = [_cast("void *", base + row * stride) for row in range(rows)]
        self._sizes = [_cast("int *", sizes + row * 4) for row in range(rows)]

    def protect(self, sessions: list[Handle]) -> None:
        """Encrypt row i with session i; `length` grows by the tag.

        Raises:
            SrtpError: if libsrtp refuses a row.
        """
        status = list(map(_api.srtp_protect, sessions, self._packets, self._sizes))
        if any(status):
            raise SrtpError(f"srtp_protect refused {sum(map(bool, status))} packets, error {max(status)}")

    def unprotect(self, sessions: list[Handle]) -> list[int]:
        """Decrypt row i with session i; returns libsrtp's status of each, 0 is good."""
        return list(map(_api.srtp_unprotect, sessions, self._packets, self._sizes))


def unprotect_rows(
    sessions: list[Handle], octets: Octets, length: NDArray[np.int32], rows: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Decrypt `octets[rows[i]]` in place with session i; returns libsrtp's status per row, 0 is good."""
    status = np.zeros(len(rows), np.uint8)
    work = WorkRows(min(_RUN, max(1, len(rows))), octets.shape[1])
    for first in range(0, len(rows), _RUN):
        some = rows[first : first + _RUN]
        work.octets[: len(some)], work.length[: len(some)] = octets[some], length[some]
        status[first : first + len(some)] = work.unprotect(sessions[first : first + len(some)])
        octets[some], length[some] = work.octets[: len(some)], work.length[: len(some)]
    return status


def splice_mki(octets: Octets, size: int, mki: bytes, suite: Suite) -> int:
    """Put an MKI into rows of SRTP, all `size` octets long; returns their new size."""
    at = size if suite.aead else size - suite.tag
    octets[:, at + len(mki) : size + len(mki)] = octets[:, at:size].copy()
    octets[:, at : at + len(mki)] = np.frombuffer(mki, np.uint8)
    return size + len(mki)


def strip_mki(octets: Octets, length: NDArray[np.int32], size: int, suite: Suite) -> NDArray[np.uint32]:
    """Take MKIs of `size` octets out of received rows; returns them as big-endian numbers."""
    value = np.zeros(len(length), np.uint32)
    if not size:
        return value
    tail = 0 if suite.aead else suite.tag
    for total in np.unique(length):
        rows = np.flatnonzero(length == total)
        at = int(total) - tail - size
        if at < 12:
            continue
        for octet in octets[rows, at : at + size].T.astype(np.uint32):
            value[rows] = value[rows] << 8 | octet
        octets[rows[:, None], np.arange(at, at + tail)] = octets[rows[:, None], np.arange(at + size, total)]
        length[rows] = total - size
    return value


class PacketSession:
    """One direction of SRTP for a single phone, packet by packet, with an MKI if it has one."""

    def __init__(self, suite: str, secret: bytes, *, ssrc: int | None = None, roc: int = 0, mki: bytes = b"") -> None:
        self._suite: Suite = {str(name): known for name, known in SUITES.items()}[suite]
        self._handle = open_session(self._suite, secret, ssrc, roc)
        self._mki = mki
        self._work = WorkRows(1, 2200)

    def protect(self, packet: bytes) -> bytes:
        """Encrypt one RTP packet."""
        self._load(packet)
        self._work.protect([self._handle])
        size = splice_mki(self._work.octets, int(self._work.length[0]), self._mki, self._suite)
        return self._work.octets[0, :size].tobytes()

    def matches(self, packet: bytes) -> bool:
        """Whether the packet carries this session's MKI (always, if it has none)."""
        end = len(packet) - (0 if self._suite.aead else self._suite.tag)
        return packet[end - len(self._mki) : end] == self._mki

    def unprotect(self, packet: bytes) -> bytes | None:
        """Decrypt one SRTP packet; None if it is forged, replayed or under another key."""
        if len(packet) < 12 + self._suite.tag + len(self._mki) or not self.matches(packet):
            return None
        self._load(packet)
        strip_mki(self._work.octets, self._work.length, len(self._mki), self._suite)
        if self._work.unprotect([self._handle])[0]:
            return None
        return self._work.octets[0, : self._work.length[0]].tobytes()

    def _load(self, packet: bytes) -> None:
        self._work.octets[0, : len(packet)] = np.frombuffer(packet, np.uint8)
        self._work.length[0] = len(packet)


def plain(suite: str, secret: bytes) -> Callable[[bytes], bytes]:
    """pylibsrtp's own call, packet by packet, to compare with.

    Raises:
        SrtpError: for a suite that pylibsrtp has no name for.
    """
    profile = {
        "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    }.get(suite)
    if profile is None:
        raise SrtpError(f"pylibsrtp has no profile {suite}")
    policy = pylibsrtp.Policy(key=secret, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
    protect: Callable[[bytes], bytes] = pylibsrtp.Session(policy).protect
    return protect
