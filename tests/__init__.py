"""What proves mrfp: the core on a virtual clock, the reference SRTP, and clients that are not ours."""
