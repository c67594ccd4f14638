"""libsrtp: the only file that knows the library; sessions, one by one.

pylibsrtp's wheel carries all of libsrtp 2, but binds only a part of it. What is called for every packet goes through
that part, which is compiled (`HOT`, `LIB`); sessions are made through the ABI of the same shared object, which also
gives AES-256-CM and the rollover counter. Must never know: batches.
"""

from __future__ import annotations

from typing import Any, Final, cast

from cffi import FFI
from pylibsrtp import _binding

from mixer.secret import Secret
from mixer.suites import Suite, SuiteName


class SrtpError(Exception):
    """libsrtp refused something that is not a peer's doing."""


_FFI = FFI()
_FFI.cdef(
    """
    typedef void *srtp_t;
    typedef struct { uint32_t cipher_type; int cipher_key_len; uint32_t auth_type; int auth_key_len;
                     int auth_tag_len; int sec_serv; } srtp_crypto_policy_t;
    typedef struct srtp_policy_t {
        int ssrc_type; unsigned int ssrc_value;
        srtp_crypto_policy_t rtp; srtp_crypto_policy_t rtcp;
        unsigned char *key; void **keys; unsigned long num_master_keys; void *deprecated_ekt;
        unsigned long window_size; int allow_repeat_tx; int *enc_xtn_hdr; int enc_xtn_hdr_count;
        struct srtp_policy_t *next; } srtp_policy_t;
    int srtp_create(srtp_t *session, const srtp_policy_t *policy);
    int srtp_dealloc(srtp_t session);
    int srtp_set_stream_roc(srtp_t session, uint32_t ssrc, uint32_t roc);
    int srtp_get_stream_roc(srtp_t session, uint32_t ssrc, uint32_t *roc);
    const char *srtp_get_version_string(void);
    void srtp_crypto_policy_set_rtp_default(srtp_crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(srtp_crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(srtp_crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_gcm_128_16_auth(srtp_crypto_policy_t *p);
    void srtp_crypto_policy_set_aes_gcm_256_16_auth(srtp_crypto_policy_t *p);
    """
)
_ABI: Final[Any] = _FFI.dlopen(_binding.__file__)
_VERSION: Final = cast(bytes, _FFI.string(_ABI.srtp_get_version_string())).decode()
if not _VERSION.startswith("libsrtp2 2.") or _FFI.sizeof("srtp_policy_t") != 128:
    raise ImportError(f"pylibsrtp carries {_VERSION}; mrfp needs libsrtp 2.x: pip install 'pylibsrtp>=1.0,<1.1'")

LIB: Final[Any] = _binding.lib
"""The functions that are called for every packet."""
HOT: Final[Any] = _binding.ffi
"""Makes their arguments."""

_RTP_POLICY: Final[dict[SuiteName, str]] = {
    "AES_CM_128_HMAC_SHA1_80": "srtp_crypto_policy_set_rtp_default",
    "AES_CM_128_HMAC_SHA1_32": "srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32",
    "AES_256_CM_HMAC_SHA1_80": "srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80",
    "AEAD_AES_128_GCM": "srtp_crypto_policy_set_aes_gcm_128_16_auth",
    "AEAD_AES_256_GCM": "srtp_crypto_policy_set_aes_gcm_256_16_auth",
}
_RTCP_POLICY: Final[dict[SuiteName, str]] = {
    **_RTP_POLICY,
    "AES_CM_128_HMAC_SHA1_32": "srtp_crypto_policy_set_rtp_default",
}
_SSRC_SPECIFIC: Final = 1
_SSRC_ANY_INBOUND: Final = 2
_REPLAY_WINDOW: Final = 128


def create(suite: Suite, secret: Secret, *, ssrc: int = 0, roc: int = 0, others: bool = False) -> Any:
    """A session, as `LIB` takes it. To be destroyed by `LIB.srtp_dealloc`.

    Args:
        ssrc: the one SSRC it is for; 0 accepts any inbound SSRC.
        roc: rollover counter of the first packet; needs `ssrc`.
        others: accept any other inbound SSRC, too, at ROC 0.

    Raises:
        SrtpError: if libsrtp refuses the policy.
    """
    key = _FFI.new("unsigned char[64]", secret.reveal())
    policy = _policy(suite, key, ssrc)
    anybody = _policy(suite, key, 0) if ssrc and others else None
    if anybody is not None:
        policy.next = anybody
    session = _FFI.new("srtp_t *")
    status = _ABI.srtp_create(session, policy)
    _FFI.memmove(key, bytes(64), 64)
    if status:
        raise SrtpError(f"libsrtp refused a session for {suite.name}: status {status}")
    if roc and _ABI.srtp_set_stream_roc(session[0], ssrc, roc):
        _ABI.srtp_dealloc(session[0])
        raise SrtpError("libsrtp did not take the rollover counter")
    return HOT.cast("srtp_t", int(_FFI.cast("uintptr_t", session[0])))


def roc(session: Any, ssrc: int) -> int:
    """The rollover counter at which a received stream stands; 0 if the session has heard nothing of it."""
    counter = _FFI.new("uint32_t *")
    status = _ABI.srtp_get_stream_roc(_handle(session), ssrc, counter)
    return 0 if status else int(counter[0])


def set_roc(session: Any, ssrc: int, roc: int) -> None:
    """Take the next packet of an SSRC to be of this rollover counter.

    Raises:
        SrtpError: if the session is not for that SSRC alone.
    """
    if _ABI.srtp_set_stream_roc(_handle(session), ssrc, roc):
        raise SrtpError("libsrtp did not take a rollover counter; the session must be for one SSRC")


def address(session: Any) -> int:
    """Where it lies in memory."""
    return int(HOT.cast("uintptr_t", session))


def _handle(session: Any) -> Any:
    return _FFI.cast("srtp_t", address(session))


def _policy(suite: Suite, key: Any, ssrc: int) -> Any:
    policy = _FFI.new("srtp_policy_t *")
    getattr(_ABI, _RTP_POLICY[suite.name])(_FFI.addressof(policy, "rtp"))
    getattr(_ABI, _RTCP_POLICY[suite.name])(_FFI.addressof(policy, "rtcp"))
    policy.ssrc_type = _SSRC_SPECIFIC if ssrc else _SSRC_ANY_INBOUND
    policy.ssrc_value = ssrc
    policy.window_size = _REPLAY_WINDOW
    policy.key = key
    return policy
