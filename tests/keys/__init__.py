"""Group keying whole: policy, KMS, MIKEY, members and a mixer with real SRTP, on one virtual clock."""
